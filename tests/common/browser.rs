//! A real browser: Chromium without a screen, driven through its DevTools protocol over a pair of pipes.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::home::Home;
use super::process::{PATIENCE, until};

/// The protocol's pipes are the descriptors 3 and 4: the standard input and output of the shell become them.
const START: &str = "exec chromium --headless --remote-debugging-pipe \"$@\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";
/// They keep Chromium from asking for its own needs, and let root run it.
pub const ALONE: [&str; 8] = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// It leads names of the chain to this machine.
const NAMES: &str = "--host-resolver-rules=MAP *.id 127.0.0.1";

/// A browser with one page.
pub struct Browser {
    child: Child,
    requests: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    session: String,
    next: Cell<u64>,
    /// What came without being asked for.
    events: RefCell<Vec<Value>>,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub is_dark: bool,
}

impl Browser {
    /// One with a new profile in `home`, so that nothing is remembered.
    pub fn start(home: &Home) -> Self {
        let profile = home.folder("browser").display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", START, "sh"]).args(ALONE).arg(NAMES);
        command.arg(format!("--user-data-dir={profile}"));
        Self::drive(command)
    }

    /// One of somebody whose commands `as_somebody` makes, with the profile in that home and without any switch that changes
    /// where names lead or what is believed.
    pub fn start_as(as_somebody: impl FnOnce(&str, &[&str]) -> Command) -> Self {
        Self::drive(as_somebody("sh", &["-c", START, "sh", "--no-first-run"]))
    }

    fn drive(mut command: Command) -> Self {
        let is_there = Command::new("chromium").arg("--version").output().is_ok();
        assert!(
            is_there,
            "install the package chromium: tests/run does that"
        );
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let requests = child.stdin.take().expect("a pipe");
        let replies = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for message in replies.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            requests: RefCell::new(requests),
            messages,
            session: String::new(),
            next: Cell::new(1),
            events: RefCell::default(),
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "Security"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Asks the browser for something.
    pub fn call(&self, method: &str, params: &Value) -> Value {
        let id = self.next.replace(self.next.get() + 1);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.as_str().into();
        }
        let mut pipe = self.requests.borrow_mut();
        write!(pipe, "{request}\0").expect("a browser that lives");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] != id {
                self.events.borrow_mut().push(message);
                continue;
            }
            assert!(message["error"].is_null(), "{method}: {message}");
            return message["result"].clone();
        }
    }

    /// Looks through another screen.
    pub fn look_through(&self, screen: Screen) {
        let metrics = json!({
            "width": screen.width, "height": 900, "deviceScaleFactor": 1, "mobile": screen.width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// Goes to an address.
    pub fn open(&self, url: &str) {
        let refused = self.refusal(url);
        assert!(refused.is_none(), "{url}: {refused:?}");
    }

    /// Why the browser does not show an address; `None` if it does.
    pub fn refusal(&self, url: &str) -> Option<String> {
        let reply = self.call("Page.navigate", &json!({ "url": url }));
        reply["errorText"].as_str().map(str::to_owned)
    }

    /// What the browser says of the connection of the page that it shows: `secure` is the lock.
    pub fn security(&self) -> String {
        let last = || {
            let states = self.events_of("Security.visibleSecurityStateChanged");
            let last = states.last()?["visibleSecurityState"]["securityState"].clone();
            last.as_str().map(str::to_owned)
        };
        until("the state of the connection", || {
            last().filter(|state| state != "neutral" && state != "unknown")
        })
    }

    /// The value of an expression on the page.
    pub fn evaluate(&self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let reply = self.call("Runtime.evaluate", &params);
        let problem = &reply["exceptionDetails"];
        assert!(problem.is_null(), "{expression}: {problem}");
        reply["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&self, expression: &str) {
        until(expression, || {
            std::thread::sleep(Duration::from_millis(20));
            (self.evaluate(expression) == true).then_some(())
        });
    }

    /// The visible text of the elements that a selector finds, one a line.
    pub fn text(&self, selector: &str) -> String {
        let found = format!("[...document.querySelectorAll({selector:?})]");
        let text = self.evaluate(&format!("{found}.map((e) => e.innerText).join('\\n')"));
        text.as_str().expect("a text").to_owned()
    }

    /// Writes the whole page as a picture.
    pub fn photograph(&self, path: &Path) {
        let params = json!({ "captureBeyondViewport": true, "format": "png" });
        let picture = self.call("Page.captureScreenshot", &params);
        let picture = picture["data"].as_str().expect("a picture");
        fs::create_dir_all(path.parent().unwrap()).expect("a directory");
        fs::write(path, base64(picture)).expect("a file");
    }

    /// The addresses that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        let params = self.events_of("Network.requestWillBeSent");
        let urls = params
            .iter()
            .map(|event| event["request"]["url"].as_str().unwrap());
        urls.map(str::to_owned).collect()
    }

    /// What the page or the browser complained about so far.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.events_of("Runtime.exceptionThrown");
        all.extend(self.events_of("Log.entryAdded"));
        let logged = self.events_of("Runtime.consoleAPICalled");
        all.extend(logged.into_iter().filter(|event| event["type"] != "debug"));
        all.iter().map(Value::to_string).collect()
    }

    fn events_of(&self, method: &str) -> Vec<Value> {
        self.evaluate("0"); // what came so far is read
        let events = self.events.borrow();
        let events = events.iter().filter(|event| event["method"] == method);
        events.map(|event| event["params"].clone()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes from base64 (RFC 4648 §4).
pub fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    let digits: Vec<u32> = text
        .as_bytes()
        .iter()
        .filter_map(digit)
        .map(|digit| digit as u32)
        .collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        let three = (bits << 8).to_be_bytes();
        bytes.extend(&three[..four.len() - 1]);
    }
    bytes
}
