//! Clients, an operator, a sweep and an eviction at once.

use std::sync::Arc;

use shuttle::thread;
use weir_edge_cache::Selector;

use crate::{
    fill::{KEY, Node, TAG, Upstream},
    purge::Mode,
};

/// Schedules of each scene by each scheduler; some seconds.
const SCHEDULES: usize = 10_000;
/// Places in a schedule at which the order is turned round.
const DEPTH: usize = 4;

fn check(upstream: Upstream, orders: fn() -> Vec<(Selector, Mode)>) {
    let scene = move || play(upstream, orders());
    shuttle::check_random(scene, SCHEDULES);
    shuttle::check_pct(scene, SCHEDULES, DEPTH);
}

fn play(upstream: Upstream, orders: Vec<(Selector, Mode)>) {
    let node = Node::new(upstream);
    let mut threads = Vec::new();
    let mut spawn = |work: Box<dyn FnOnce(Arc<Node>) + Send>| {
        let node = Arc::clone(&node);
        threads.push(thread::spawn(move || work(node)));
    };
    for _ in 0..2 {
        spawn(Box::new(|node| {
            node.request();
            node.request();
        }));
    }
    spawn(Box::new(move |node| {
        for (selector, mode) in orders {
            node.purge(selector, mode);
            node.request();
        }
    }));
    spawn(Box::new(|node| {
        node.sweep();
        node.sweep();
    }));
    spawn(Box::new(|node| node.evict()));
    for thread in threads {
        thread.join().expect("a failed check says so itself");
    }
    node.request();
    node.rest();
}

const PLAIN: Upstream = Upstream { unsized_bodies: false, confirms: false };

fn hard() -> Vec<(Selector, Mode)> {
    vec![(Selector::Prefix("film|h|/vod/".into()), Mode::Hard), (Selector::All, Mode::Hard)]
}

fn by_tag() -> Vec<(Selector, Mode)> {
    vec![(Selector::Tag(TAG.into()), Mode::Hard), (Selector::Tag(TAG.into()), Mode::Hard)]
}

fn mixed() -> Vec<(Selector, Mode)> {
    vec![(Selector::Service("film".into()), Mode::Soft), (Selector::Key(KEY.into()), Mode::Hard)]
}

#[test]
fn a_purge_that_races_fills_wins() {
    check(PLAIN, hard);
}

#[test]
fn a_purge_by_tags_that_are_not_known_yet() {
    check(PLAIN, by_tag);
}

#[test]
fn a_purge_that_races_bodies_without_length() {
    check(Upstream { unsized_bodies: true, ..PLAIN }, by_tag);
}

/// An upstream that confirms everything must not confirm what was purged.
#[test]
fn a_purge_that_races_revalidations() {
    check(Upstream { confirms: true, ..PLAIN }, mixed);
}
