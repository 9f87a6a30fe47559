use std::time::Instant;
use tenantry_devdb::*;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    for _ in 0..5 {
        let t = Instant::now();
        let s = DevServer::start().await.unwrap();
        let a = t.elapsed();
        let t = Instant::now();
        s.restart().await.unwrap();
        let r = t.elapsed();
        let t = Instant::now();
        drop(s);
        eprintln!("private start {a:?} restart {r:?} drop {:?}", t.elapsed());
    }
    let t = Instant::now();
    let d = DevDatabase::create().await.unwrap();
    eprintln!("shared start + db {:?}", t.elapsed());
    let mut sql = String::new();
    for i in 0..20 {
        sql += &format!(
            "create table t{i} (id bigint primary key, a text, b int); create index on t{i}(a);"
        );
    }
    let t = Instant::now();
    let e = DevDatabase::from_template(&sql).await.unwrap();
    eprintln!("template {:?}", t.elapsed());
    drop(e);
    for mode in ["create", "template"] {
        let (mut c, mut dr) = (vec![], vec![]);
        for _ in 0..30 {
            let t = Instant::now();
            let d = if mode == "create" {
                DevDatabase::create().await.unwrap()
            } else {
                DevDatabase::from_template(&sql).await.unwrap()
            };
            c.push(t.elapsed());
            let t = Instant::now();
            drop(d);
            dr.push(t.elapsed());
        }
        c.sort();
        dr.sort();
        eprintln!(
            "{mode}: create median {:?} max {:?}; drop median {:?} max {:?}",
            c[15], c[29], dr[15], dr[29]
        );
    }
    drop(d);
}
