//! A chat server under the simulator: its logic is that of `examples/chat_server`, its network a few
//! channels. How to do the same for your own application: `docs/testing.md`.
#![cfg(not(loom))]

mod memory;
mod model;
#[path = "../../examples/chat_server/room.rs"]
mod room;
#[path = "../../examples/chat_server/server.rs"]
mod server;
#[path = "../../examples/chat_server/transport.rs"]
mod transport;

use std::time::Duration;

use headcount::group;
use headcount::testing::{Sim, assert_no_orphans, elapsed, explore, wait_all_blocked};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use memory::Network;
use model::{Command, play, verify};
use room::{BACKLOG, Room};
use server::{LAST_LINES, serve};

fn command() -> impl Strategy<Value = Command> {
    let seat = 0..4_usize;
    prop_oneof![
        2 => Just(Command::Settle),
        4 => seat.clone().prop_map(Command::Join),
        4 => (seat.clone(), 1..=2_usize, 1..=5_usize)
            .prop_map(|(seat, lines, piece)| Command::Say { seat, lines, piece }),
        1 => seat.clone().prop_map(Command::Leave),
        1 => (seat, any::<bool>()).prop_map(|(seat, breaks)| Command::Vanish { seat, breaks }),
    ]
}

async fn plays_well(commands: Vec<Command>) {
    verify(&play(commands).await);
    assert_eq!(elapsed(), Duration::ZERO, "somebody had to be cut");
}

proptest! {
    // The same cases each time; PROPTEST_CASES and PROPTEST_RNG_SEED ask for more and for others.
    #![proptest_config(Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(0),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn everybody_hears_what_is_said_while_present_and_nobody_is_left(
        seed in any::<u64>().no_shrink(),
        commands in vec(command(), 0..40),
    ) {
        Sim::new(seed).run(assert_no_orphans(plays_well(commands)));
    }
}

#[test]
fn clients_may_come_talk_and_go_all_at_once() {
    explore(0..200, || {
        let mut commands: Vec<_> = (0..4).map(Command::Join).collect();
        commands.extend((0..4).map(|seat| Command::Say {
            seat,
            lines: 3,
            piece: 2,
        }));
        let vanish = Command::Vanish {
            seat: 1,
            breaks: true,
        };
        commands.extend([Command::Leave(0), vanish, Command::Join(0)]);
        assert_no_orphans(plays_well(commands))
    });
}

#[test]
fn a_client_that_does_not_read_is_shown_out_and_holds_nobody_up() {
    explore(0..5, || {
        assert_no_orphans(async {
            let (network, listener) = Network::new();
            let outcome = group(async |g| {
                g.spawn(serve(listener, Room::default()));
                let (slow, unread) = network.connect();
                slow.try_send(Ok(b"slow\n".to_vec())).unwrap();
                wait_all_blocked().await;
                let (quick, heard) = network.connect();
                quick.try_send(Ok(b"quick\n".to_vec())).unwrap();
                assert_eq!(heard.recv().await.unwrap(), "* quick is here");
                // So many fit into its backlog, beside what is under way to it already.
                for said in 0..=BACKLOG {
                    quick.try_send(Ok(b"on and on\n".to_vec())).unwrap();
                    assert_eq!(heard.recv().await.unwrap(), "quick: on and on");
                    wait_all_blocked().await;
                    assert_eq!(slow.is_closed(), said == BACKLOG, "{said}");
                }
                assert_eq!(heard.recv().await.unwrap(), "* slow was too slow");
                // It finds what was under way when it was shown out, and the end.
                assert_eq!(unread.recv().await.unwrap(), "* slow is here");
                assert!(unread.recv().await.is_err());
                g.shutdown(Duration::from_secs(10));
                Ok(())
            });
            outcome.await.unwrap();
            assert_eq!(elapsed(), Duration::ZERO);
        })
    });
}

#[test]
fn a_client_that_does_not_read_delays_the_end_by_the_time_for_last_lines_and_fails_nobody() {
    explore(0..50, || {
        assert_no_orphans(async {
            let (network, listener) = Network::new();
            let (stuck, _unread) = network.connect();
            stuck.try_send(Ok(b"stuck\none\ntwo\n".to_vec())).unwrap();
            let outcome = group(async |g| {
                g.spawn(serve(listener, Room::default()));
                wait_all_blocked().await;
                g.shutdown(2 * LAST_LINES);
                Ok(())
            });
            outcome.await.unwrap();
            assert_eq!(elapsed(), LAST_LINES);
        })
    });
}
