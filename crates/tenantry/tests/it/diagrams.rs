//! Each diagram of the documentation is made from the source beside it, and is shown on a page.

use std::path::PathBuf;

use crate::repository::{files, read, root};

fn diagrams(extension: &str) -> Vec<PathBuf> {
    files(&root().join("docs/diagrams"), extension)
}

/// Returns the lines of all labels of a source.
fn labels(source: &str) -> Vec<String> {
    let quoted = source.split("label=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let lines = quoted.flat_map(|label| label.split("\\n").flat_map(|line| line.split("\\l")));
    lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Returns the text of an SVG file, as people see it.
fn text(svg: &str) -> String {
    let unescaped = svg
        .replace("&#160;", " ")
        .replace("&#39;", "'")
        .replace("&#45;", "-")
        .replace("&quot;", "\"");
    unescaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn each_diagram_shows_its_source() {
    let sources = diagrams("dot");
    assert!(sources.len() >= 4, "only {sources:?}");
    for path in sources {
        let (source, svg) = (read(&path), path.with_extension("svg"));
        let shown = text(&read(&svg));
        let labels = labels(&source);
        assert!(labels.len() > 2, "{}: {labels:?}", path.display());
        for label in labels {
            let is_shown = shown.contains(&format!("{label}<"));
            assert!(is_shown, "{} lacks {label:?}: run `just diagrams`", svg.display());
        }
    }
}

#[test]
fn each_diagram_is_on_a_page() {
    let pages = files(&root().join("docs"), "md");
    let pages: String = pages.iter().map(|page| read(page)).collect();
    for svg in diagrams("svg") {
        let name = svg.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(pages.contains(&format!("](diagrams/{name})")), "no page shows {name}");
        assert!(svg.with_extension("dot").exists(), "{name} has no source");
    }
}
