//! The cases say what `pg_dump` says.

use super::{cases::Expected, corpus::Corpus, judge::Judge};

#[tokio::test]
async fn every_case_is_as_pg_dump_has_it() {
    let corpus = Corpus::build().await;
    let Some(judge) = Judge::of(&corpus.url).await else { return };
    let mut wrong = Vec::new();

    let lefts: Vec<&str> = corpus.cases.iter().map(|built| built.left.as_str()).collect();
    let rights: Vec<&str> = corpus.cases.iter().map(|built| built.right.as_str()).collect();
    let (lefts, rights) = (judge.dump(&lefts).await, judge.dump(&rights).await);
    for ((built, left), right) in corpus.cases.iter().zip(&lefts).zip(&rights) {
        let (case, differences) = (&built.case, left.differences(right));
        if differences.is_empty() == (case.expected == Expected::Different) {
            let said = if differences.is_empty() { "alike".into() } else { differences.concat() };
            wrong.push(format!("{}: {said}", case.name));
        }
    }

    let undone: Vec<_> = corpus.cases.iter().filter(|built| built.undone.is_some()).collect();
    let lefts: Vec<&str> = undone.iter().map(|built| built.left.as_str()).collect();
    let afters: Vec<&str> = undone.iter().filter_map(|built| built.undone.as_deref()).collect();
    let (lefts, afters) = (judge.dump(&lefts).await, judge.dump(&afters).await);
    for ((built, left), after) in undone.iter().zip(&lefts).zip(&afters) {
        let differences = left.differences(after);
        if !differences.is_empty() {
            wrong.push(format!("{}, undone: {}", built.case.name, differences.concat()));
        }
    }
    let count = corpus.cases.len();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
