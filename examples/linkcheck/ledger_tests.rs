use super::super::html;
use super::*;

fn here(url: &str) -> Destination {
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment.to_owned())),
        None => (url, None),
    };
    let url = url.to_owned();
    Destination::Here { url, fragment }
}

fn link(kind: Kind, url: &str) -> Link {
    let to = here(url);
    Link { kind, to }
}

/// A page with the id `id` and with these links.
fn page(links: &[&str]) -> Outcome {
    Outcome::Page {
        anchors: html::read("<p id=id>").anchors,
        links: links.iter().map(|url| link(Kind::Page, url)).collect(),
    }
}

fn refreshing(to: &str) -> Outcome {
    Outcome::Page {
        anchors: Anchors::default(),
        links: vec![link(Kind::Refresh, to)],
    }
}

/// A ledger with a start page that has these links, and the visits they cause.
fn begun(max_pages: usize, links: &[&str]) -> (Ledger, Vec<Visit>) {
    let mut ledger = Ledger::new(max_pages);
    let visits = ledger.start("/start".into(), None);
    assert_eq!(visits.len(), 1);
    let visits = ledger.enter(visits[0].id, page(links));
    (ledger, visits)
}

fn adds_up(ledger: &Ledger) -> Totals {
    let totals = ledger.totals();
    let parts = totals.right + totals.broken + totals.external;
    assert_eq!(
        parts + totals.beyond_budget + totals.not_reached,
        totals.links
    );
    totals
}

fn urls(visits: &[Visit]) -> Vec<&str> {
    visits.iter().map(|visit| &*visit.url).collect()
}

#[test]
fn each_target_is_visited_once_however_often_it_is_linked() {
    let (mut ledger, visits) = begun(9, &["/a", "/b", "/a#id", "/start"]);
    assert_eq!(urls(&visits), ["/a", "/b"]);
    let again = ledger.enter(visits[0].id, page(&["/b", "/b#id", "/start#id"]));
    assert_eq!(again, []);
    assert_eq!(adds_up(&ledger).not_reached, 3);
    ledger.enter(visits[1].id, page(&[]));
    let totals = adds_up(&ledger);
    assert_eq!((totals.right, totals.links, totals.fragments), (8, 8, 3));
}

#[test]
fn a_broken_link_names_each_page_it_is_on() {
    let (mut ledger, visits) = begun(9, &["/a", "/b", "/b#no"]);
    ledger.enter(visits[0].id, page(&["/b#no", "/a#id", "/a#no"]));
    ledger.enter(visits[1].id, page(&[]));
    assert_eq!(adds_up(&ledger).broken, 3);
    let broken = ledger.broken_links();
    let found: Vec<_> = broken
        .iter()
        .map(|b| (&*b.url, b.linked_from.len()))
        .collect();
    assert_eq!(found, [("/a#no", 1), ("/b#no", 2)]);
    assert_eq!(broken[1].why, "no place `#no` on /b");
    assert_eq!(
        broken[1].linked_from,
        [Arc::from("/start"), Arc::from("/a")]
    );
}

#[test]
fn a_failed_start_page_is_broken_and_linked_from_nowhere() {
    let mut ledger = Ledger::new(1);
    let visits = ledger.start("/".into(), None);
    ledger.enter(visits[0].id, Outcome::Failed("refused".into()));
    let broken = ledger.broken_links();
    assert_eq!(
        (&*broken[0].why, broken[0].linked_from.len()),
        ("refused", 0)
    );
    assert_eq!(adds_up(&ledger).broken, 1);
}

#[test]
fn pages_beyond_the_budget_are_not_broken_but_not_checked() {
    let (ledger, visits) = begun(2, &["/a", "/b", "/c", "/b#id"]);
    assert_eq!(urls(&visits), ["/a"]);
    let totals = adds_up(&ledger);
    assert_eq!((totals.beyond_budget, totals.not_reached), (3, 1));
}

#[test]
fn what_turns_out_to_be_no_page_gives_its_place_to_one_that_waits() {
    let (mut ledger, visits) = begun(2, &["/a", "/b", "/c"]);
    let next = ledger.enter(visits[0].id, Outcome::File);
    assert_eq!(urls(&next), ["/b"]);
    let next = ledger.enter(next[0].id, Outcome::Failed("404".into()));
    assert_eq!(urls(&next), ["/c"]);
    assert_eq!(ledger.enter(next[0].id, page(&["/d"])), []);
    let totals = adds_up(&ledger);
    assert_eq!(
        (totals.pages, totals.files, totals.beyond_budget),
        (2, 1, 1)
    );
}

#[test]
fn files_need_no_place_unless_they_turn_out_to_be_pages() {
    let mut ledger = Ledger::new(1);
    let start = ledger.start("/".into(), None)[0].id;
    let links = vec![link(Kind::File, "/a.png"), link(Kind::File, "/b")];
    let anchors = Anchors::default();
    let visits = ledger.enter(start, Outcome::Page { anchors, links });
    assert!(visits.len() == 2 && visits.iter().all(|visit| !visit.read));
    assert!(!ledger.may_read(visits[0].id));

    let mut ledger = Ledger::new(2);
    let start = ledger.start("/".into(), None)[0].id;
    let links = vec![link(Kind::File, "/b"), link(Kind::Page, "/c")];
    let anchors = Anchors::default();
    let visits = ledger.enter(start, Outcome::Page { anchors, links });
    assert_eq!(urls(&visits), ["/b", "/c"]);
    assert!(!ledger.may_read(visits[0].id));
    ledger.enter(visits[1].id, Outcome::Failed("404".into()));
    assert!(ledger.may_read(visits[0].id));
}

#[test]
fn a_redirect_is_followed_with_the_fragment_of_the_link() {
    let (mut ledger, visits) = begun(9, &["/old#id", "/old#no", "/old"]);
    let next = ledger.enter(visits[0].id, Outcome::Redirect(here("/new#else")));
    assert_eq!(urls(&next), ["/new"]);
    ledger.enter(next[0].id, page(&["/old#id"]));
    let totals = adds_up(&ledger);
    assert_eq!((totals.right, totals.broken), (4, 1));
    let broken = &ledger.broken_links()[0];
    assert_eq!(
        (&*broken.url, &*broken.why),
        ("/old#no", "no place `#no` on /new")
    );
}

#[test]
fn a_page_that_sends_its_reader_on_takes_the_fragment_along() {
    let (mut ledger, visits) = begun(9, &["/old#id", "/old#no", "/old"]);
    let next = ledger.enter(visits[0].id, refreshing("/new"));
    ledger.enter(next[0].id, page(&[]));
    let totals = adds_up(&ledger);
    // The refresh itself is a link, too.
    assert_eq!((totals.links, totals.right, totals.broken), (5, 4, 1));
}

#[test]
fn a_page_that_reloads_itself_is_the_last_word_on_its_fragments() {
    let (mut ledger, visits) = begun(9, &["/clock#no"]);
    ledger.enter(visits[0].id, refreshing("/clock"));
    assert_eq!(ledger.broken_links()[0].why, "no place `#no` on /clock");
    adds_up(&ledger);
}

#[test]
fn redirects_in_a_circle_end() {
    let (mut ledger, visits) = begun(9, &["/a", "/b"]);
    ledger.enter(visits[0].id, Outcome::Redirect(here("/b")));
    ledger.enter(visits[1].id, Outcome::Redirect(here("/a")));
    assert_eq!(adds_up(&ledger).broken, 2);
    assert_eq!(ledger.broken_links()[0].why, "redirects in a circle");
}

#[test]
fn redirects_that_go_on_and_on_end() {
    let (mut ledger, mut visits) = begun(99, &["/0"]);
    let mut steps = 0;
    while let [visit] = &visits[..] {
        steps += 1;
        let next = Outcome::Redirect(here(&format!("/{steps}")));
        visits = ledger.enter(visit.id, next);
    }
    assert_eq!(steps, MAX_REDIRECTS + 1);
    assert_eq!(ledger.broken_links()[0].why, "more than 5 redirects");
    assert_eq!(adds_up(&ledger).broken, 1);
}

#[test]
fn redirects_that_lead_elsewhere_or_nowhere_are_told_apart() {
    let (mut ledger, visits) = begun(9, &["/a", "/b"]);
    ledger.enter(visits[0].id, Outcome::Redirect(Destination::Elsewhere));
    let (text, why) = ("http://[".into(), "not a URL".into());
    let nowhere = Outcome::Redirect(Destination::Invalid { text, why });
    ledger.enter(visits[1].id, nowhere);
    let totals = adds_up(&ledger);
    assert_eq!((totals.external, totals.broken), (1, 1));
    let why = &ledger.broken_links()[0].why;
    assert_eq!(why, "redirects to `http://[`, not a URL");
}

#[test]
fn a_link_that_is_no_url_is_broken_and_one_that_leads_elsewhere_is_not() {
    let mut ledger = Ledger::new(9);
    let start = ledger.start("/".into(), None)[0].id;
    let (text, why) = ("http://[".into(), "not a URL".into());
    let kind = Kind::Page;
    let links = [Destination::Invalid { text, why }, Destination::Elsewhere];
    let links = links.map(|to| Link { kind, to }).to_vec();
    let anchors = Anchors::default();
    assert_eq!(ledger.enter(start, Outcome::Page { anchors, links }), []);
    let totals = adds_up(&ledger);
    assert_eq!((totals.external, totals.broken), (1, 1));
    assert_eq!(ledger.broken_links()[0].url, "http://[");
}

#[test]
fn what_was_due_when_the_run_stopped_is_known() {
    let (mut ledger, visits) = begun(9, &["/a", "/b", "/c"]);
    ledger.enter(visits[1].id, page(&[]));
    let due: Vec<_> = ledger.not_reached();
    assert_eq!(due, [Arc::from("/a"), Arc::from("/c")]);
    assert_eq!(adds_up(&ledger).not_reached, 2);
}
