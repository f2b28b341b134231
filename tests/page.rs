//! The status page, in a real browser on a chain that goes on: it says what `bnsd status` and `bnsd explain` say, on a desk
//! and on a phone, and asks nobody but the daemon. The pictures stay in `target/tmp/page`, for people to look at.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::browser::{Browser, Screen};
use crate::common::home::Home;
use crate::common::http::request;
use crate::common::person::World;
use crate::common::ports::free_address;
use crate::common::process::until;

const DESK: Screen = Screen {
    width: 1280,
    is_dark: false,
};
const PHONE: Screen = Screen {
    width: 390,
    is_dark: false,
};
/// The types of address records.
const A: u16 = 1;
const AAAA: u16 = 28;
/// What somebody writes who wants to run in the browsers of others.
const HOSTILE: &str =
    "<script>document.title='taken'</script><img src=http://192.0.2.9/x onerror=alert(1)>";

/// A world with a page about it.
struct Shown {
    world: World,
    url: String,
    browser: Browser,
    _home: Home,
}

impl Shown {
    fn start() -> Self {
        let address = free_address();
        let world = World::start(&format!(
            "[api]\nlisten = [\"{address}\"]\n[chain]\nsource = \"dev\"\n"
        ));
        let home = Home::new();
        Self {
            world,
            url: format!("http://{address}/"),
            browser: Browser::start(&home),
            _home: home,
        }
    }

    fn status(&self) -> Value {
        self.world.run(&["--json", "status"]).json()
    }

    /// Goes to the page, and waits until it has drawn something.
    fn open(&self, behind: &str, screen: Screen) {
        self.browser.look_through(screen);
        self.browser.open("about:blank");
        self.browser.open(&format!("{}{behind}", self.url));
        let drawn = "document.querySelectorAll('.chart canvas').length === 2 && !!document.querySelector('#service dd')";
        self.browser.wait_for(drawn);
    }

    /// Types a line into the search, as people do.
    fn search(&self, text: &str) {
        let browser = &self.browser;
        browser.evaluate("document.getElementById('name').select()");
        browser.call("Input.insertText", &json!({ "text": text }));
        for kind in ["keyDown", "keyUp"] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r",
            });
            browser.call("Input.dispatchKeyEvent", &key);
        }
        let asked = format!("document.querySelector('#explained h1')?.textContent === {text:?}");
        browser.wait_for(&asked);
        browser.wait_for("!document.querySelector('#explained').hasAttribute('aria-busy')");
    }

    /// The value behind a label.
    fn entry(&self, list: &str, label: &str) -> String {
        let rows = self.browser.text(&format!("{list} > div"));
        let mut found = rows.lines().skip_while(|line| *line != label);
        found
            .nth(1)
            .unwrap_or_else(|| panic!("no {label:?} in {rows}"))
            .to_owned()
    }

    fn picture(&self, name: &str) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("page")
            .join(name);
        self.browser.photograph(&path.with_extension("png"));
    }

    fn fits(&self) {
        let width = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(
            self.browser.evaluate(width),
            0,
            "the page is wider than the screen"
        );
    }

    fn is_content(&self) {
        let complaints = self.browser.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let strangers: Vec<String> = self.browser.asked();
        let ours = |url: &String| url.starts_with(&self.url) || url == "about:blank";
        assert!(strangers.iter().all(ours), "{strangers:#?}");
    }
}

/// A name that was registered, updated and transferred, and one whose zone file nobody has.
fn live(world: &World) -> (String, String) {
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    alice.gets(30_000_000_000);
    alice.does(&["namespace", "preorder", "id"]);
    alice.does(&["namespace", "reveal", "id", "--lifetime", "1000"]);
    alice.does(&["namespace", "ready", "id"]);
    let zone = alice.writes("first.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 192.0.2.7\n");
    alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
    let text = format!("$ORIGIN me.id\n$TTL 3600\n@ A 192.0.2.7\n@ TXT \"{HOSTILE}\"\n");
    let zone = alice.writes("second.zone", &text);
    alice.does(&["zonefile", "publish", "me.id", &zone]);
    alice.does(&["name", "transfer", "me.id", "--to", &bob.address()]);
    alice.does(&["name", "register", "lost.id"]);
    alice.does(&["name", "update", "lost.id", "--hash", &"ab".repeat(20)]);
    (bob.address(), text)
}

#[test]
fn the_page_says_what_the_commands_say() {
    let shown = Shown::start();
    let (owner, zonefile) = live(&shown.world);
    shown.open("", DESK);
    figures_are_those_of_status(&shown);
    charts_follow_questions(&shown);
    shown.picture("desk");
    shown.is_content();
    a_name_is_explained(&shown, &owner, &zonefile);
    shown.is_content();
    a_phone_and_the_dark_show_the_same(&shown);
    shown.is_content();
    trouble_is_said_in_words(shown);
}

fn figures_are_those_of_status(shown: &Shown) {
    let status = shown.status();
    let number = |value: &Value| value.as_u64().unwrap().to_string();
    let height = number(&status["height"]);
    assert_eq!(shown.entry("#figures", "height"), height);
    assert_eq!(shown.entry("#figures", "names"), number(&status["names"]));
    assert!(
        shown
            .entry("#chain", "height")
            .starts_with(&format!("{height} ("))
    );
    let texts = [
        ("#chain", "network", &status["network_meaning"]),
        ("#chain", "consensus hash", &status["consensus_hash"]),
        ("#service", "listening on", &status["listeners"][0]),
    ];
    for (list, label, value) in texts {
        assert_eq!(shown.entry(list, label), value.as_str().unwrap(), "{label}");
    }
    for label in ["names", "namespaces", "preorders"] {
        assert_eq!(
            shown.entry("#chain", label),
            number(&status[label]),
            "{label}"
        );
    }
    let zonefiles = &status["zonefiles"];
    assert_eq!(
        (&zonefiles["present"], &zonefiles["missing_count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(shown.entry("#zonefiles", "present"), "1");
    assert_eq!(shown.entry("#zonefiles", "missing"), "1");
    shown
        .browser
        .evaluate("document.querySelector('#absent summary').click()");
    assert!(shown.browser.text("#absent").contains("lost.id"));
    assert!(shown.browser.text("#upstreams").contains("127.0.0.1:9"));

    // A block comes while somebody looks.
    shown.world.mine(1);
    let next = format!(
        "document.querySelector('#figures dd').textContent === '{}'",
        shown.world.height()
    );
    shown.browser.wait_for(&next);
}

/// The most questions in a second of the chart, and how many pixels have the colour of answers from the chain.
fn drawn(shown: &Shown) -> (f64, i64) {
    let label = "document.getElementById('queries-chart').getAttribute('aria-label')";
    let label = shown.browser.evaluate(label);
    let most = label.as_str().unwrap().split("at most ").nth(1).unwrap();
    let most = most
        .split(' ')
        .next()
        .unwrap()
        .replace(',', "")
        .parse()
        .unwrap();
    let pixels = "(() => { const canvas = document.querySelector('#queries-chart canvas');
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) count += data[i] === 13 && data[i + 1] === 138 && data[i + 2] === 125;
        return count; })()";
    (most, shown.browser.evaluate(pixels).as_i64().unwrap())
}

fn charts_follow_questions(shown: &Shown) {
    let (most, pixels) = drawn(shown);
    let before = shown.status()["queries"]["answered"].as_u64().unwrap();
    for _ in 0..100 {
        assert_eq!(shown.world.dig("me.id", A), (0, 1));
    }
    let after = shown.status()["queries"]["answered"].as_u64().unwrap();
    assert_eq!(after, before + 100);
    until("the chart to show the questions", || {
        std::thread::sleep(Duration::from_millis(100));
        let (now, coloured) = drawn(shown);
        (now >= most + 10.0 && coloured > pixels + 20).then_some(())
    });
    let told = shown.entry("#service", "questions");
    assert!(told.contains(&format!("{after} answered")), "{told}");
    let latency = shown.entry("#figures", "latency");
    assert!(
        latency.ends_with("µs") || latency.ends_with("ms"),
        "{latency}"
    );
}

fn a_name_is_explained(shown: &Shown, owner: &str, zonefile: &str) {
    shown.search("me.id");
    let browser = &shown.browser;
    let told = shown.world.run(&["--json", "explain", "me.id"]).json();
    assert_eq!(browser.text("#explained .state"), "registered");
    assert!(
        browser
            .text("#explained .because")
            .contains(told["decision"]["reason"].as_str().unwrap())
    );
    for (label, value) in [
        ("owner", owner),
        ("transaction", told["txid"].as_str().unwrap()),
        ("consensus hash", told["consensus_hash"].as_str().unwrap()),
    ] {
        assert_eq!(shown.entry("#explained dl", label), value, "{label}");
    }
    let titles = browser.text(".timeline > li > b");
    let expected = "NAME_REGISTRATION\nNAME_UPDATE\nNAME_TRANSFER\nnow\ngrace start\nlast resolves\nrenewal deadline\nfree from";
    assert_eq!(titles, expected);
    let dates = browser.text(".timeline .when");
    for (event, date) in told["history"]
        .as_array()
        .unwrap()
        .iter()
        .zip(dates.lines())
    {
        let time = event["time"].as_str().unwrap();
        assert_eq!(
            date,
            format!(
                "{} ({} {} UTC)",
                event["height"],
                &time[..10],
                &time[11..16]
            )
        );
    }
    let free = told["free_from_estimated"].as_str().unwrap();
    assert!(
        dates.ends_with(&format!("(about {})", &free[..10])),
        "{dates}"
    );

    // The zone file is text, whatever it says.
    let shown_text = browser.evaluate("document.querySelector('#explained pre').textContent");
    assert_eq!(shown_text.as_str(), Some(zonefile));
    assert!(browser.text("#explained td.data").contains("<script>"));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#explained script, #explained img').length"),
        0
    );
    assert_eq!(browser.evaluate("document.title"), "me.id – bnsd");
    shown.picture("desk-name");
}

fn a_phone_and_the_dark_show_the_same(shown: &Shown) {
    for (name, behind) in [("phone", ""), ("phone-name", "?name=me.id")] {
        shown.open(behind, PHONE);
        if !behind.is_empty() {
            shown
                .browser
                .wait_for("!!document.querySelector('#explained pre')");
        }
        shown.fits();
        shown.picture(name);
    }
    let height = shown.world.height().to_string();
    assert_eq!(shown.entry("#figures", "height"), height);
    let paper = "getComputedStyle(document.body).backgroundColor";
    let bright = shown.browser.evaluate(paper);
    for (name, screen) in [("phone-dark", PHONE), ("desk-dark", DESK)] {
        let dark = Screen {
            is_dark: true,
            ..screen
        };
        shown.open("#me.id", dark);
        assert_ne!(shown.browser.evaluate(paper), bright);
        shown
            .browser
            .wait_for("!!document.querySelector('#explained pre')");
        shown.fits();
        shown.picture(name);
    }
}

fn trouble_is_said_in_words(mut shown: Shown) {
    shown.open("", DESK);
    shown.search("free.id");
    assert_eq!(shown.browser.text("#explained .state"), "never registered");
    shown.search("example.com"); // the upstream is dead
    assert_eq!(shown.browser.text("#explained .state"), "no answer");
    let said = shown.browser.text("#explained");
    assert!(said.contains("Left to an upstream, because"), "{said}");
    assert!(!said.contains("consensus hash"), "{said}");
    shown.search("a..b");
    let said = shown.browser.text("#explained .notice");
    assert!(said.contains("is no domain name"), "{said}");

    shown.world.stop_daemon();
    shown
        .browser
        .wait_for("document.getElementById('connection').textContent.includes('does not answer')");
    shown.picture("desk-stopped");
    shown.world.run_daemon();
    shown
        .browser
        .wait_for("document.getElementById('connection').textContent === ''");
    let status = shown.status();
    let hash = status["consensus_hash"].as_str().unwrap();
    assert_eq!(shown.entry("#chain", "consensus hash"), hash);
}

/// Without an address of its own a name leads to a page about it, if somebody chose that, and to nothing otherwise.
#[test]
fn a_name_without_an_address_is_shown_under_its_own_name() {
    let gateway = free_address();
    let world = World::start(&format!(
        "[api]\nlisten = [\"none\"]\ngateway = \"{gateway}\"\n[chain]\nsource = \"dev\"\n"
    ));
    live(&world);
    let alice = world.person("alice");
    let zone = format!("$ORIGIN bare.id\n$TTL 3600\n@ TXT \"{HOSTILE}\"\nwww A 192.0.2.8\n");
    let zone = alice.writes("bare.zone", &zone);
    alice.does(&["name", "register", "bare.id", "--zonefile", &zone]);
    assert_eq!(
        world.run(&["--json", "status"]).json()["gateway"],
        gateway.to_string()
    );

    // The resolver leads there, and says so.
    let told = world.run(&["--json", "explain", "bare.id"]).json();
    assert_eq!(told["answer"]["records"][0]["data"], "127.0.0.1");
    assert_eq!(told["answer"]["ede"]["code"], 29);
    assert_eq!(world.dig("bare.id", A), (0, 1));
    assert_eq!(world.dig("bare.id", AAAA), (0, 0));
    let own = world.run(&["--json", "lookup", "me.id"]).json();
    assert_eq!(own["records"][0]["data"], "192.0.2.7");

    // The page has owner, zone file and proof, and no text of a stranger in its markup.
    let page = |host: &str, path: &str| request(gateway, "GET", path, &[&format!("Host: {host}")]);
    for host in [
        "bare.id",
        "BARE.id",
        "bare.id.",
        "bare.id.bns.alt",
        &format!("bare.id:{}", gateway.port()),
    ] {
        let shown = page(host, "/");
        assert_eq!(shown.status, 200, "{host}");
        let text = String::from_utf8(shown.body).unwrap();
        for key in [
            "owner",
            "txid",
            "zonefile_hash",
            "consensus_hash",
            "operation",
        ] {
            assert!(
                text.contains(told[key].as_str().unwrap()),
                "{key} is not in {text}"
            );
        }
        assert!(
            text.contains("&lt;script&gt;") && !text.contains("<script"),
            "{text}"
        );
    }
    for stranger in [
        "localhost",
        "127.0.0.1",
        "me.id",
        "free.id",
        "www.bare.id",
        "co.id",
        "example.com",
        "a..b",
        "",
    ] {
        let refused = page(stranger, "/");
        assert_eq!(refused.status, 421, "{stranger}");
        let media_type = refused.header("content-type");
        assert_eq!(media_type, Some("text/html; charset=utf-8"), "{stranger}");
    }
    let called = format!("bare.id:{}", gateway.port());
    let nothing = page(&called, "/v1/status");
    assert_eq!(nothing.status, 404);
    let text = String::from_utf8(nothing.body).unwrap();
    assert!(text.contains(&format!("http://{called}/ says")), "{text}");
    assert_eq!(
        request(gateway, "POST", "/", &["Host: bare.id"]).status,
        405
    );

    let home = Home::new();
    let browser = Browser::start(&home);
    browser.look_through(PHONE);
    let url = format!("http://bare.id:{}/", gateway.port());
    browser.open(&url);
    browser.wait_for("document.readyState === 'complete' && document.styleSheets.length === 1");
    let hostile = browser.evaluate(&format!(
        "document.querySelector('pre').textContent.includes({HOSTILE:?})"
    ));
    assert_eq!(
        (hostile, browser.text("h1")),
        (json!(true), "bare.id".to_owned())
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page/gateway.png");
    browser.photograph(&path);
    assert_eq!(browser.complaints(), [""; 0]);
    let asked = browser.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.starts_with(&url) || asked == "data:,"),
        "{asked:?}"
    );
}
