//! The count, its peak and the line of a limit, seen by one thread.

use std::panic::Location;

use super::*;
use crate::kernel::{
    cell::End,
    chunk::Group,
    info::Info,
    node::{Kind, Node, Plan},
};

fn spawn(group: &Arc<Node>) -> CellRef {
    let info = Info::new(None, Location::caller());
    let Ok(admitted) = group.admit(Ask::Queue, info, || Group::without_book(group)) else {
        panic!("the group is open");
    };
    admitted.handle.leave(|| ());
    admitted.child
}

fn end(group: &Arc<Node>, child: &CellRef) {
    let finished = child.finish(End::Cancelled, false);
    group.child_left(child, finished.daemon);
    child.retire(finished.owed);
}

#[test]
fn the_most_who_lived_at_once_are_counted_exactly() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let mut children = Vec::new();
    for living in 1..=10 {
        children.push(spawn(&group));
        assert_eq!(group.stats(), (living as u64, living, living));
    }
    children.drain(3..).for_each(|child| end(&group, &child));
    assert_eq!(group.stats(), (10, 3, 10));
    children.extend((0..7).map(|_| spawn(&group)));
    assert_eq!(group.stats(), (17, 10, 10));
    children.push(spawn(&group));
    assert_eq!(group.stats(), (18, 11, 11));
    children.iter().for_each(|child| end(&group, child));
    let closed = group.inside.lock().ledger.close();
    drop(closed);
}

/// 1,000 enter, and each time that so many live all but a few leave.
#[test]
fn of_64_children_at_most_one_is_missing_in_the_peak_and_none_once_somebody_looks() {
    for most in [10, 63, 64, 65, 100, 500, 777] {
        let group = Node::new(Kind::Group, Location::caller(), Plan::default());
        let mut children = Vec::new();
        for _ in 0..1000 {
            children.push(spawn(&group));
            if children.len() == most {
                children.drain(3..).for_each(|child| end(&group, &child));
            }
        }
        let (spawned, living, peak) = group.stats();
        assert_eq!((spawned, living), (1000, children.len()));
        let least = most - most / 64;
        assert!((least..=most).contains(&peak), "{peak} of {most}");

        let more = most.saturating_sub(living) + 40;
        children.extend((0..more).map(|_| spawn(&group)));
        assert_eq!(group.stats().2, children.len());
        group.wait_for_children();
        children.iter().for_each(|child| end(&group, child));
        assert_eq!(group.stats().2, children.len(), "who waits has looked");
        let closed = group.inside.lock().ledger.close();
        drop(closed);
    }
}

#[test]
fn who_ends_in_line_leaves_it_or_is_passed_over() {
    let plan = Plan {
        limit: Some(1),
        ..Plan::default()
    };
    let group = Node::new(Kind::Group, Location::caller(), plan);
    let line = || {
        let inside = group.inside.lock();
        let limit = inside.ledger.limit.as_ref().expect("a limit");
        limit.queue.iter().count()
    };
    let admitted = spawn(&group);
    end(&group, &spawn(&group));
    assert_eq!(line(), 0, "it stood there alone");

    let [first, second, third, fourth, fifth] = [(); 5].map(|()| spawn(&group));
    end(&group, &fifth);
    end(&group, &second);
    assert_eq!(line(), 5, "most of them live");
    let ticket = group.line_up().unwrap();
    end(&group, &first);
    assert_eq!(line(), 3, "half of them had ended");
    ticket.settle();
    group.left_the_line();
    assert_eq!(line(), 3, "most of them live");
    end(&group, &fourth);
    assert_eq!(line(), 1, "so had the spawner");

    let [sixth, seventh] = [(); 2].map(|()| spawn(&group));
    end(&group, &sixth);
    assert_eq!(line(), 3, "most of them live");
    end(&group, &admitted);
    assert!(third.is_admitted());
    end(&group, &third);
    assert!(seventh.is_admitted() && line() == 0);
    end(&group, &seventh);
    let closed = group.inside.lock().ledger.close();
    drop(closed);
}
