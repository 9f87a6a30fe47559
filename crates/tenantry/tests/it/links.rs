//! Every link between files of the repository leads somewhere, and every page of the book is in its summary.

use std::{collections::HashSet, path::PathBuf};

use crate::repository::{from_root, markdown, read, root};

/// Returns the Markdown files that people read. Those between sources are parts of other pages.
fn pages() -> impl Iterator<Item = PathBuf> {
    markdown().into_iter().filter(|path| !path.iter().any(|folder| folder == "src"))
}

/// The lines outside of code blocks, without what stands in backticks.
fn prose(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let outside = line.split('`').step_by(2);
            lines.push(outside.collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

fn links(text: &str) -> Vec<String> {
    let lines = prose(text).join("\n");
    let targets = lines.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.trim_matches(['<', '>']).to_owned()).collect()
}

/// The anchors that GitHub and mdBook give to headings.
fn anchors(text: &str) -> HashSet<String> {
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let headings = headings.map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| heading.chars().filter(|c| kept(*c)).collect::<String>())
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("it is in a folder").join(file),
            };
            let is_there = target.exists()
                && (anchor.is_empty()
                    || target.is_dir()
                    || anchors(&read(&target)).contains(anchor));
            if !is_there {
                dead.push(format!("{}: {link}", from_root(&page)));
            }
        }
    }
    assert_eq!(dead, [""; 0]);
}

#[test]
fn every_page_is_in_the_book() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let linked = links(&read(&summary));
    let linked: Vec<_> =
        linked.iter().filter_map(|link| docs.join(link).canonicalize().ok()).collect();
    let missing = pages().filter(|page| *page != summary && !linked.contains(page));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}
