//! Firefox without a screen, driven through Marionette, its own protocol: each message is `LENGTH:JSON`, a request
//! `[0, id, command, parameters]`, its reply `[1, id, error, result]`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use super::machine::Machine;
use crate::common::browser::base64;
use crate::common::process::{PATIENCE, Process, until};

/// Where Marionette listens unless it is told otherwise.
const MARIONETTE: (&str, u16) = ("127.0.0.1", 2_828);

/// A Firefox with one page.
pub struct Firefox {
    _process: Process,
    stream: TcpStream,
    next: u64,
}

impl Firefox {
    /// One of the ordinary person, with the profile that Firefox makes there.
    pub fn start(machine: &Machine) -> Self {
        let process = machine.start_as_person("firefox-esr", &["--headless", "--marionette"]);
        let stream = until("Marionette", || TcpStream::connect(MARIONETTE).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut firefox = Self {
            _process: process,
            stream,
            next: 1,
        };
        let greeting = firefox.read();
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        firefox.does("WebDriver:NewSession", &json!({}));
        firefox
    }

    /// Why it does not show an address: the code on the page that it shows instead. `None` if it does.
    pub fn refusal(&mut self, url: &str) -> Option<String> {
        let reply = self.call("WebDriver:Navigate", &json!({ "url": url }));
        let error = reply.err()?;
        assert_eq!(error["error"], "insecure certificate", "{url}: {error}");
        // The code is behind a button.
        let code = r"
            const page = document.querySelector('net-error-card')?.shadowRoot;
            const button = page?.getElementById('advanced-button');
            if (button && !button.dataset.pressed) {
                button.dataset.pressed = true;
                button.click();
            }
            return page?.textContent.match(/[A-Z]+_ERROR_[A-Z_]+/)?.[0] ?? null";
        let code = until("the code of an error", || {
            self.evaluate(code).as_str().map(str::to_owned)
        });
        Some(code)
    }

    /// The value of the body of a function on the page.
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.does(
            "WebDriver:ExecuteScript",
            &json!({ "script": script, "args": [] }),
        )["value"]
            .clone()
    }

    /// Writes what it shows as a picture.
    pub fn photograph(&mut self, path: &Path) {
        let picture = self.does("WebDriver:TakeScreenshot", &json!({ "full": false }));
        let picture = picture["value"].as_str().expect("a picture");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, base64(picture)).unwrap();
    }

    fn does(&mut self, command: &str, parameters: &Value) -> Value {
        let reply = self.call(command, parameters);
        reply.unwrap_or_else(|error| panic!("{command} {parameters}: {error}"))
    }

    fn call(&mut self, command: &str, parameters: &Value) -> Result<Value, Value> {
        let id = self.next;
        self.next += 1;
        let request = json!([0, id, command, parameters]).to_string();
        write!(self.stream, "{}:{request}", request.len()).expect("a browser that lives");
        let reply = self.read();
        assert_eq!(reply[1], id, "{reply}");
        match &reply[2] {
            Value::Null => Ok(reply[3].clone()),
            error => Err(error.clone()),
        }
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a message");
            match byte[0] {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).expect("a message");
        serde_json::from_slice(&message).expect("JSON")
    }
}
