//! A Prometheus of one's own, with the configuration and the rules of `ops/`.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
};

use example_support::testing::{get, skip, wait_until};
use serde_json::Value;

use crate::ops_files::{Folder, list, replace, str_of, text};

pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    /// Starts one that scrapes these targets every second. `None` where there is none to start.
    pub(crate) fn start(targets: &[SocketAddr]) -> Option<Self> {
        let folder = Folder::new();
        let config = text("ops/prometheus.yml");
        let targets: Vec<_> = targets.iter().map(SocketAddr::to_string).collect();
        let config = replace(&config, "example:3000", &targets.join(", "));
        let config = replace(&config, "_interval: 5s", "_interval: 1s");
        let config = folder.write("prometheus.yml", &config);
        folder.write("alerts.yml", &text("ops/alerts.yml"));
        let started = Command::new("prometheus")
            .arg("--config.file")
            .arg(config)
            .arg("--storage.tsdb.path")
            .arg(folder.path().join("data"))
            // It says which port it got.
            .args(["--web.listen-address", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip("the dashboard's expressions: there is no prometheus on this machine");
                return None;
            }
            started => started.expect("prometheus can be started"),
        };
        let mut log = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut said = String::new();
        let address = log.by_ref().map_while(Result::ok).find_map(|line| {
            said += &format!("{line}\n");
            let (_, address) = line.split_once("\"Listening on\" address=")?;
            address.parse().ok()
        });
        // The rest is read as well: a full pipe would stop it.
        thread::spawn(move || log.for_each(drop));
        let address = address.unwrap_or_else(|| panic!("it does not listen:\n{said}"));
        let prometheus = Self { process, address, _folder: folder };
        wait_until("Prometheus is ready", || {
            get(address, "/-/ready", &[]).ok().filter(|answer| answer.status == 200)
        });
        Some(prometheus)
    }

    /// Asks its HTTP API and returns the `data` of the answer.
    pub(crate) fn api(&self, path: &str) -> Value {
        let path = format!("/api/v1/{path}");
        let answer = get(self.address, &path, &[]).expect("Prometheus answers");
        let mut answer = answer.json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// Evaluates an expression now. An error is one of the test.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.api(&format!("query?query={}", percent_encoded(expression)));
        list(&data["result"]).cloned().collect()
    }

    /// Waits until an expression has a value that is a number.
    pub(crate) fn wait_for_data(&self, expression: &str) -> Vec<Value> {
        wait_until(&format!("there are data of {expression}"), || {
            let series = self.query(expression);
            let is_number = |of: &Value| str_of(&of["value"][1]).parse().is_ok_and(f64::is_finite);
            series.iter().any(is_number).then_some(series)
        })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
