use serde_json::Value;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(super) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let mut answer = Self {
            status: status.unwrap_or_else(|| panic!("{text:?}")),
            headers: headers.collect(),
            body: body.to_owned(),
        };
        if answer.header("transfer-encoding") == Some("chunked") && !body.is_empty() {
            answer.body = join_chunks(body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.0 == name);
        header.map(|header| header.1.as_str())
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// Reads the body as a problem document, after checking that it is one.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        assert!(document["title"].is_string(), "{document}");
        document
    }

    /// The last part of the problem's type.
    pub(crate) fn problem_type(&self) -> String {
        let document = self.problem();
        let uri = document["type"].as_str().expect("a problem has a type");
        uri.rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// Checks that the server is to be asked again later, and says nothing of why.
    pub(crate) fn assert_unavailable(&self) {
        assert_eq!((self.status, self.problem_type().as_str()), (503, "unavailable"), "{self:?}");
        assert!(self.header("retry-after").is_some(), "{self:?}");
        for word in ["127.0.0.1", "refused", "nobody", "os error", "secret", "connection"] {
            assert!(!self.body.contains(word), "{}", self.body);
        }
    }
}

/// Puts a body together, to its last chunk.
fn join_chunks(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk has a size");
        let size = usize::from_str_radix(size, 16).expect("the size is a number");
        if size == 0 {
            return body;
        }
        body += after.get(..size).expect("the chunk is all there");
        rest = after[size..].strip_prefix("\r\n").expect("a chunk ends its line");
    }
}
