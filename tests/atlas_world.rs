//! A small world of Atlas: ten daemons that follow one Bitcoin Core, each in a network of its own behind a bridge, beside
//! three peers that lie. Every daemon ends with every zone file, whatever was lost, and none with a wrong byte.

/// The networks, the daemons and the liars.
mod lab;

use lab::{Lab, MEMBERS};

/// Names that are there from the beginning.
const NAMES: usize = 12;

#[test]
fn ten_daemons_keep_every_zone_file_beside_three_liars() {
    crate::common::apart::apart(|| {
        let mut lab = Lab::new();
        lab.open_namespace(NAMES);
        lab.start_members();
        lab.until_complete("the first files everywhere");

        // Any nine lose their archives: the tenth is one that had to learn everything itself.
        let survivor = 1 + lab.names().len() % (MEMBERS - 1);
        lab.lose_archives_but(survivor);
        lab.until_complete("the archives of nine back from the tenth");

        // Members come and go while a name gets a file.
        lab.kill(&[2, 3, 4]);
        lab.publish("churn");
        lab.start(&[2, 3, 4]);
        lab.kill(&[5, 6]);
        lab.start(&[5, 6]);
        lab.until_complete("a new file where members come and go");

        // Two halves that hear nothing of each other.
        let far = [6, 7, 8, 9];
        lab.part(&far);
        lab.publish("parted");
        lab.until_present("parted", |member| !far.contains(&member));
        assert!(far.iter().all(|member| !lab.has(*member, "parted")));
        lab.heal();
        lab.until_complete("both halves one again");

        lab.check_bytes();
        lab.check_answers();
        lab.check_lies();
    });
}
