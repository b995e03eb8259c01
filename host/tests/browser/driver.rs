//! A headless Chromium, driven as <https://www.w3.org/TR/webdriver2/> says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::poll;

/// A browser with one page. It ends when dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

/// Starts chromedriver, and adds what it says to `said`. `None` when it ended before it served.
fn launch(said: &mut String) -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver: {error}: run the tests with `make test`, which installs it"));
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        said.push_str(&line);
        said.push('\n');
        line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        driver.wait().unwrap();
        return None;
    };
    // It goes on writing there.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Browser {
    pub(crate) fn start() -> Self {
        let mut said = String::new();
        // The port that it chose may be taken by the time it listens on it, and then it ends.
        let (driver, port) = std::iter::repeat_with(|| launch(&mut said))
            .take(5)
            .find_map(|driver| driver)
            .unwrap_or_else(|| panic!("chromedriver did not say its port in 5 starts:\n{said}"));
        let mut browser = Self { driver, port, session: String::new() };
        // In a container, root has no sandbox to be had and /dev/shm is small.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"];
        let session = browser.post(
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}}),
        );
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// What a function with this body returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until this expression is true.
    pub(crate) fn wait(&self, what: &str, expression: &str) {
        poll(what, || (self.run(&format!("return Boolean({expression})")) == true).then_some(()));
    }

    /// The text of the page, as it is seen.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap().to_owned()
    }

    /// A screen of this width in pixels, as that of a phone or not.
    pub(crate) fn screen(&self, width: u32, height: u32) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Has pages asked to be `light` or `dark`.
    pub(crate) fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// The page as PNG, as far as it is on the screen.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let answer = self.devtools("Page.captureScreenshot", &json!({"format": "png"}));
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, answer["data"].as_str().unwrap()).unwrap()
    }

    /// What the browser has complained about since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({"type": "browser"}));
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("/session/{}/{path}", self.session), body)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", path, &body.to_string());
        assert!(answer["value"]["error"].is_null(), "{path}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        // It leaves the connection open.
        let mut answer = BufReader::new(connection);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), "");
        }
        // It takes the browser with it.
        let stopped = Command::new("kill").arg(self.driver.id().to_string()).status();
        if stopped.is_ok_and(|status| status.success()) {
            let _ = self.driver.wait();
        }
    }
}
