//! The schedule of one node, call by call.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::dice::fixture::Seeded;
use super::super::inventory::Inventory;
use super::{Action, Call, Event, Failure, Reply, Schedule, Settings};
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// One node, and the calls that it makes.
struct Desk {
    schedule: Schedule,
    dice: Seeded,
    now: Duration,
    calls: Vec<(PeerAddress, Call)>,
    others: Vec<Action>,
}

impl Desk {
    fn new(settings: Settings) -> Self {
        let now = Duration::from_secs(1000);
        Self {
            schedule: Schedule::new(settings, now),
            dice: Seeded::new(1),
            now,
            calls: Vec::new(),
            others: Vec::new(),
        }
    }

    /// A node with these neighbours, on a chain of `rows` rows.
    fn with_neighbours(count: u8, rows: u32) -> Self {
        let peers = (1..=count).map(peer).collect();
        let mut desk = Self::new(Settings {
            peers,
            ..Settings::default()
        });
        desk.tell(Event::Rows(rows));
        desk.tick();
        desk.agree();
        assert_eq!(desk.neighbours().len(), usize::from(count));
        desk
    }

    fn tell(&mut self, event: Event) {
        let actions = self.schedule.handle(event, self.now, &mut self.dice);
        self.note(actions);
    }

    fn tick(&mut self) {
        let actions = self.schedule.tick(self.now, &mut self.dice);
        self.note(actions);
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Call { peer, call } => self.calls.push((peer, call)),
                other => self.others.push(other),
            }
        }
    }

    /// Lets time go by, tick by tick.
    fn wait(&mut self, wait: Duration) {
        let end = self.now + wait;
        while let Some(next) = self.schedule.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.tick();
        }
        self.now = end;
    }

    /// Takes the calls under way of one kind.
    fn take(&mut self, is_wanted: impl Fn(&Call) -> bool) -> Vec<(PeerAddress, Call)> {
        self.calls
            .extract_if(.., |(_, call)| is_wanted(call))
            .collect()
    }

    fn reply(&mut self, peer: &PeerAddress, reply: Reply) {
        let peer = peer.clone();
        self.tell(Event::Replied { peer, reply });
    }

    fn fail(&mut self, peer: &PeerAddress, call: Call, failure: Failure) {
        let peer = peer.clone();
        self.tell(Event::Failed {
            peer,
            call,
            failure,
        });
    }

    /// Everybody who is asked who they are agrees.
    fn agree(&mut self) {
        self.agree_but(None);
    }

    /// The same but for one.
    fn agree_but(&mut self, disagrees: Option<&PeerAddress>) {
        loop {
            let asked = self.take(|call| *call == Call::Info);
            if asked.is_empty() {
                return;
            }
            for (peer, _) in asked {
                let agrees = Some(&peer) != disagrees;
                self.reply(&peer, Reply::Info { agrees });
            }
        }
    }

    /// Whoever is asked for an inventory has these rows; nobody knows anybody.
    fn show(&mut self, rows: &[u32]) {
        for (peer, _) in self.take(|call| *call == Call::Inventory) {
            self.show_as(&peer, rows);
        }
    }

    fn show_as(&mut self, peer: &PeerAddress, rows: &[u32]) {
        let mut inventory = Inventory::new(self.schedule.rows);
        rows.iter().for_each(|row| inventory.set(*row));
        self.reply(peer, Reply::Inventory(inventory));
    }

    fn fetches(&mut self) -> Vec<(PeerAddress, Vec<ZonefileHash>)> {
        let calls = self.take(|call| matches!(call, Call::Fetch(_)));
        let calls = calls.into_iter().map(|(peer, call)| match call {
            Call::Fetch(hashes) => (peer, hashes),
            other => panic!("{other:?}"),
        });
        calls.collect()
    }

    fn deliver(
        &mut self,
        peer: &PeerAddress,
        asked: Vec<ZonefileHash>,
        delivered: Vec<ZonefileHash>,
    ) {
        self.reply(peer, Reply::Files { asked, delivered });
    }

    fn miss(&mut self, rows: impl IntoIterator<Item = u32>) {
        for row in rows {
            let (hash, rows) = (hash(row), vec![row]);
            self.tell(Event::Missing { hash, rows });
        }
        self.tick();
    }

    fn neighbours(&self) -> Vec<PeerAddress> {
        let peers = self.schedule.peers(self.now).into_iter();
        peers
            .filter(|peer| peer.neighbour)
            .map(|peer| peer.address)
            .collect()
    }
}

fn peer(number: u8) -> PeerAddress {
    PeerAddress::new([20, number, 1, 1].into(), 6264)
}

fn address(text: &str) -> PeerAddress {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn hash(row: u32) -> ZonefileHash {
    ZonefileHash::of(&row.to_be_bytes())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn whom_a_list_denies_or_nobody_allows_is_never_asked() {
    let mut desk = Desk::new(Settings {
        own: vec![address("20.0.0.1:6264")],
        peers: vec![address("10.0.0.1:6264"), address("10.0.0.2:6264")],
        allow: vec!["10.1.0.0/16".parse().expect("a network")],
        deny: vec![
            "10.0.0.2".parse().expect("a host"),
            "10.1.2.0/24".parse().expect("a network"),
        ],
        ..Settings::default()
    });
    for text in [
        "20.0.0.1:6264",
        "192.168.0.1:6264",
        "10.1.2.3:6264",
        "10.1.3.3:6264",
        "21.0.0.1:6264",
    ] {
        let (peer, by) = (address(text), None);
        desk.tell(Event::Suggested { peer, by });
    }
    desk.tell(Event::Remembered(address("127.0.0.1:6264")));
    desk.tick();
    let asked: BTreeSet<_> = desk
        .calls
        .iter()
        .map(|(peer, _)| peer.to_string())
        .collect();
    assert_eq!(
        asked,
        ["10.0.0.1:6264", "10.1.3.3:6264", "21.0.0.1:6264"]
            .map(str::to_owned)
            .into()
    );
}

#[test]
fn only_peers_that_agree_come_in_and_few_of_one_prefix_are_neighbours() {
    let mut desk = Desk::new(Settings::default());
    let crowd = (1..=6).map(|host| address(&format!("30.30.1.{host}:6264")));
    let strangers: Vec<_> = crowd.chain([peer(1), peer(2), peer(3)]).collect();
    for peer in strangers {
        desk.tell(Event::Suggested { peer, by: None });
    }
    desk.tick();
    assert!(desk.calls.len() <= 8, "a few at a time: {:?}", desk.calls);
    let disagrees = peer(3);
    desk.agree_but(Some(&disagrees));
    let neighbours = desk.neighbours();
    let crowd = neighbours
        .iter()
        .filter(|peer| peer.to_string().starts_with("30.30."));
    assert_eq!((crowd.count(), neighbours.len()), (2, 4));
    assert!(!neighbours.contains(&disagrees));
    assert!(desk.others.contains(&Action::Remember(peer(1))));
    assert!(!desk.others.contains(&Action::Remember(disagrees)));
}

#[test]
fn missing_files_come_rarest_first_from_several_peers_and_none_twice() {
    let mut desk = Desk::with_neighbours(3, 450);
    let all: Vec<u32> = (1..=450).collect();
    desk.show_as(&peer(1), &all);
    desk.show_as(&peer(2), &all);
    desk.show_as(&peer(3), &all[..440]);
    desk.take(|_| true);
    desk.miss(all);
    let fetches = desk.fetches();
    let rare: BTreeSet<_> = (441..=450).map(hash).collect();
    let first = fetches
        .iter()
        .find(|(peer_, _)| *peer_ != peer(3))
        .expect("two have them");
    assert!(rare.iter().all(|hash| first.1[..10].contains(hash)));
    let asked: Vec<_> = fetches.iter().flat_map(|(_, hashes)| hashes).collect();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
    assert_eq!(fetches.len(), 3);
    assert!(fetches.iter().all(|(_, hashes)| hashes.len() == 100));
    desk.wait(seconds(1));
    let more = desk.fetches();
    assert_eq!(
        more.iter().map(|(_, hashes)| hashes.len()).sum::<usize>(),
        150
    );
    // After five seconds somebody else is asked for what has not come.
    desk.wait(seconds(5));
    let late = desk.fetches();
    let before: Vec<_> = fetches.iter().chain(&more).collect();
    for (other, hashes) in &late {
        let twice = before
            .iter()
            .filter(|(peer, _)| peer == other)
            .flat_map(|(_, asked)| asked);
        assert!(!twice.clone().any(|hash| hashes.contains(hash)));
    }
    assert_eq!(late.len(), 1, "the others have two calls each");
}

#[test]
fn a_claim_that_is_not_kept_is_cleared_and_tried_eight_times_a_day() {
    let mut desk = Desk::with_neighbours(1, 10);
    desk.show(&[1, 2]);
    desk.miss([1, 2]);
    let (peer, asked) = desk.fetches().pop().expect("it has both");
    desk.deliver(&peer, asked, vec![hash(1)]);
    assert!(desk.fetches().is_empty());
    let mut tries = 1;
    for _ in 0..(20 * 3600 / 60) {
        desk.wait(seconds(60));
        desk.agree();
        desk.show(&[1, 2]);
        for (peer, asked) in desk.fetches() {
            tries += 1;
            desk.deliver(&peer, asked, vec![]);
        }
    }
    assert_eq!(tries, 8);
}

#[test]
fn what_somebody_waits_for_goes_first() {
    let mut desk = Desk::with_neighbours(1, 1000);
    desk.show(&(1..=999).collect::<Vec<_>>());
    desk.miss(1..=1000);
    desk.wait(seconds(1));
    let busy = desk.fetches();
    assert_eq!(busy.len(), 2);
    let asked: BTreeSet<_> = busy
        .iter()
        .flat_map(|(_, hashes)| hashes)
        .copied()
        .collect();
    let late = (1..=999)
        .map(hash)
        .find(|hash| !asked.contains(hash))
        .expect("200 are asked for");
    desk.tell(Event::Asked(late));
    desk.wait(seconds(0));
    assert_eq!(desk.fetches(), [(peer(1), vec![late])]);
    for (peer, asked) in busy {
        desk.deliver(&peer, asked.clone(), asked);
    }
    // Nobody has the last one: whoever has it will be seen at once.
    desk.wait(seconds(120));
    desk.show(&(1..=999).collect::<Vec<_>>());
    desk.wait(seconds(60));
    desk.show(&(1..=999).collect::<Vec<_>>());
    desk.wait(seconds(10));
    desk.tell(Event::Asked(hash(1000)));
    desk.wait(seconds(0));
    assert_eq!(desk.take(|call| *call == Call::Inventory).len(), 1);
    desk.fetches();
    desk.show_as(&peer(1), &[1000]);
    assert_eq!(desk.fetches(), [(peer(1), vec![hash(1000)])]);
}

#[test]
fn inventories_are_asked_for_at_once_for_a_new_file_and_ever_more_rarely_for_a_lost_one() {
    let mut desk = Desk::with_neighbours(1, 10);
    desk.show(&[]);
    desk.wait(seconds(300));
    assert!(desk.take(|call| *call == Call::Inventory).is_empty());
    desk.tell(Event::Rows(11));
    desk.miss([11]);
    let mut times = Vec::new();
    let start = desk.now;
    for _ in 0..86_400 / 5 {
        if !desk.take(|call| *call == Call::Inventory).is_empty() {
            times.push((desk.now - start).as_secs());
            desk.show_as(&peer(1), &[]);
        }
        desk.wait(seconds(5));
        desk.agree();
    }
    assert_eq!(times[..5], [0, 5, 10, 20, 40]);
    assert!((140..180).contains(&times.len()), "{}", times.len());
}

#[test]
fn new_files_are_pushed_to_those_that_lack_them() {
    let mut desk = Desk::with_neighbours(3, 7);
    desk.show_as(&peer(1), &[1, 2, 3, 4, 5, 6, 7]);
    desk.show_as(&peer(2), &[1]);
    // The inventory of the third is not known yet.
    desk.take(|_| true);
    for row in 1..=7 {
        let (hash, rows) = (hash(row), vec![row]);
        desk.tell(Event::Fresh {
            hash,
            rows,
            from: Some(peer(3)),
        });
    }
    desk.tick();
    let pushed = |desk: &mut Desk| desk.take(|call| matches!(call, Call::Push(_)));
    let first: Vec<_> = (2..=6).map(hash).collect();
    assert_eq!(pushed(&mut desk), [(peer(2), Call::Push(first))]);
    desk.reply(&peer(2), Reply::Pushed);
    assert_eq!(pushed(&mut desk), [(peer(2), Call::Push(vec![hash(7)]))]);
    desk.fail(&peer(2), Call::Push(vec![hash(7)]), Failure::Unreachable);
    assert!(pushed(&mut desk).is_empty());
}

#[test]
fn files_of_an_archive_that_is_fetched_are_pushed_to_nobody() {
    let mut desk = Desk::with_neighbours(1, 3000);
    desk.show(&[]);
    desk.miss(2..=3000);
    let (hash, rows) = (hash(1), vec![1]);
    desk.tell(Event::Fresh {
        hash,
        rows,
        from: None,
    });
    desk.tick();
    assert!(desk.take(|call| matches!(call, Call::Push(_))).is_empty());
}

/// The backups were asked but for some files.
fn backups_asked(unasked: &[ZonefileHash], are_down: bool) -> Event {
    let (failed, unasked) = unasked.split_at(unasked.len().min(1));
    Event::BackupsAsked {
        failed: failed.to_vec(),
        unasked: unasked.to_vec(),
        are_down,
    }
}

fn with_backups() -> Desk {
    Desk::new(Settings {
        peers: vec![peer(1)],
        backups: true,
        ..Settings::default()
    })
}

/// What the backups are being asked for.
fn asked(desk: &mut Desk) -> Vec<ZonefileHash> {
    match desk.others.pop() {
        Some(Action::AskBackups(hashes)) => hashes,
        _ => Vec::new(),
    }
}

#[test]
fn backups_that_are_down_are_asked_again_soon() {
    let mut desk = with_backups();
    desk.tell(Event::Rows(150));
    desk.miss(1..=150);
    desk.wait(seconds(31));
    let first = asked(&mut desk);
    assert_eq!(first.len(), 100);
    desk.tell(backups_asked(&first, true));
    desk.tell(Event::Asked(first[1]));
    desk.wait(seconds(59));
    assert!(asked(&mut desk).is_empty(), "they need a minute");
    desk.wait(seconds(2));
    let second = asked(&mut desk);
    let new = second.iter().filter(|hash| !first.contains(hash));
    assert_eq!(
        (second.len(), new.count()),
        (100, 50),
        "nothing comes before what is new"
    );
    assert_eq!(second[0], first[1], "but what somebody waits for");
    assert!(!second.contains(&first[0]), "what failed waits longer");
    desk.tell(backups_asked(&[], false));
    desk.wait(seconds(1));
    assert_eq!(asked(&mut desk).len(), 49);
    desk.tell(backups_asked(&[], false));
    desk.wait(seconds(600));
    assert_eq!(asked(&mut desk), [first[0]]);
}

#[test]
fn backups_are_asked_for_what_no_neighbour_has() {
    let mut desk = with_backups();
    desk.tell(Event::Rows(300));
    desk.tick();
    desk.agree();
    desk.show(&[1, 2]);
    desk.miss(1..=300);
    assert!(asked(&mut desk).is_empty(), "neighbours come first");
    desk.wait(seconds(31));
    let mut looked: BTreeSet<_> = asked(&mut desk).into_iter().collect();
    assert_eq!(looked.len(), 100);
    for _ in 0..4 {
        desk.tell(backups_asked(&[], false));
        desk.wait(seconds(1));
        looked.extend(asked(&mut desk));
    }
    assert_eq!(looked, (3..=300).map(hash).collect());
    desk.tell(backups_asked(&[], false));
    desk.wait(seconds(43_000));
    desk.take(|_| true);
    assert!(asked(&mut desk).is_empty());
    desk.wait(seconds(300));
    assert_eq!(asked(&mut desk).len(), 100);
}

#[test]
fn the_third_wrong_file_bans_for_an_hour() {
    let mut desk = Desk::with_neighbours(1, 10);
    let all: Vec<u32> = (1..=10).collect();
    desk.show(&all);
    desk.miss(all.clone());
    let mut wrong = 0;
    let mut banned_at = None;
    for _ in 0..3600 {
        desk.agree();
        desk.show(&all);
        for (peer, asked) in desk.fetches() {
            wrong += 1;
            desk.fail(&peer, Call::Fetch(asked), Failure::WrongFile);
        }
        let state = &desk.schedule.peers(desk.now)[0];
        if banned_at.is_none() && state.banned_for.is_some() {
            assert_eq!((wrong, state.neighbour), (3, false));
            banned_at = Some(desk.now);
            desk.take(|_| true);
        }
        let is_over = banned_at.is_some_and(|at| desk.now >= at + seconds(3600));
        assert!(
            banned_at.is_none() || is_over || desk.calls.is_empty(),
            "{:?}",
            desk.calls
        );
        desk.wait(seconds(2));
    }
    assert!(banned_at.is_some());
}

#[test]
fn more_inventory_than_there_are_rows_costs_the_place() {
    let mut desk = Desk::with_neighbours(2, 10);
    desk.reply(&peer(1), Reply::Inventory(Inventory::new(11)));
    let state = desk.schedule.peers(desk.now);
    let liar = state
        .iter()
        .find(|state| state.address == peer(1))
        .expect("it is known");
    assert_eq!((liar.strikes, liar.neighbour), (1, false));
    assert_eq!(desk.neighbours(), [peer(2)]);
}

#[test]
fn silence_is_one_strike_and_a_peer_that_comes_back_is_a_neighbour_again() {
    let mut desk = Desk::with_neighbours(1, 10);
    for _ in 0..20 {
        desk.wait(seconds(600));
        for (peer, call) in desk.take(|_| true) {
            desk.fail(&peer, call, Failure::TooSlow);
        }
    }
    let state = &desk.schedule.peers(desk.now)[0];
    assert_eq!(
        (state.strikes, state.neighbour, state.banned_for),
        (1, false, None)
    );
    desk.wait(seconds(3600));
    desk.agree();
    assert_eq!(desk.neighbours(), [peer(1)]);
}

#[test]
fn a_slow_peer_is_asked_for_less() {
    let mut desk = Desk::with_neighbours(1, 1000);
    let all: Vec<u32> = (1..=1000).collect();
    desk.show(&all);
    desk.miss(all);
    let (peer, asked) = desk.fetches().pop().expect("it has all");
    desk.fail(&peer, Call::Fetch(asked), Failure::TooSlow);
    desk.wait(seconds(5));
    assert_eq!(
        desk.fetches().first().map(|(_, asked)| asked.len()),
        Some(25)
    );
}

#[test]
fn an_archive_of_seventy_thousand_files_takes_seven_hundred_calls() {
    let rows = 70_000;
    let mut desk = Desk::with_neighbours(8, rows);
    desk.take(|_| true);
    desk.miss(1..=rows);
    for number in 1..=8 {
        let odd: Vec<_> = (1..=rows)
            .filter(|row| row % 8 == number % 8 || row % 3 == 0)
            .collect();
        desk.show_as(&peer(number as u8), &odd);
    }
    let (mut calls, mut files) = (0, 0);
    while files < rows as usize {
        let fetches = desk.fetches();
        assert!(fetches.len() <= 8);
        for (peer, asked) in fetches {
            (calls, files) = (calls + 1, files + asked.len());
            desk.deliver(&peer, asked.clone(), asked);
        }
        desk.wait(Duration::from_millis(2));
        desk.agree();
        desk.take(|call| !matches!(call, Call::Fetch(_)));
    }
    assert!(calls < 800, "{calls}");
    let per_peer = calls as f64 / 8.0 / (desk.now - seconds(1000)).as_secs_f64();
    assert!(per_peer < 200.0, "{per_peer} calls a second");
}
