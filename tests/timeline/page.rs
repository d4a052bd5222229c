//! The page in a browser: it draws, zooms, tells of a slice, and does not freeze.

use std::{fmt::Write, future::pending, time::Duration};

use headcount::{Options, time::sleep};

use crate::{
    browser::{Browser, HEIGHT, WIDTH},
    record::recorded,
};

/// Their colours in the style of the page, light and dark.
const FAILED: (u32, u32) = (0xe5534b, 0xc9423b);
const BACK: (u32, u32) = (0xffffff, 0x15181c);
const MARK: (u32, u32) = (0xc0392b, 0xff7b6b);

/// One of each kind, on the real clock: a child that fails after a while, and those around it.
fn small() -> Vec<u8> {
    recorded(|| {
        let crew = Options::new().name("crew").run(async |g| {
            for number in 0..5 {
                g.spawn_named(format!("idle {number}"), pending::<()>());
            }
            g.spawn_named("bad <one>", async {
                sleep(Duration::from_millis(20)).await;
                Err::<(), _>("no route")
            });
            pending::<Result<(), _>>().await
        });
        assert!(crew.is_err());
    })
}

#[test]
fn the_page_shows_slices_and_marks_in_light_and_dark() {
    let Some(browser) = Browser::open(&small()) else {
        return;
    };
    let (light, dark) = (browser.picture("", false), browser.picture("", true));
    for (failed, back, mark, picture) in [
        (FAILED.0, BACK.0, MARK.0, light),
        (FAILED.1, BACK.1, MARK.1, dark),
    ] {
        let drawn = picture.count(failed);
        // Nearly as wide as the page, above its polls.
        assert!(drawn > 5 * WIDTH && drawn < 60 * WIDTH, "{drawn}");
        assert!(picture.count(back) > WIDTH * HEIGHT / 4);
        assert!(picture.count(mark) > 50);
    }
}

#[test]
fn the_page_counts_what_is_in_the_record() {
    let Some(browser) = Browser::open(&small()) else {
        return;
    };
    let dom = browser.dom("");
    // Six children, and the boundary.
    assert_eq!(dom.number("slices"), 7.0);
    assert_eq!(dom.number("bands"), 1.0);
    assert!(dom.number("drawn") >= 7.0);
    assert_eq!(dom.number("from"), 0.0);
    assert_eq!(dom.number("to"), dom.number("end"));
    assert!(dom.number("end") >= 20_000.0, "the child has slept so long");
    assert!(
        dom.0.contains("<td>6</td><td>6</td><td>1</td>"),
        "{}",
        dom.0
    );
}

#[test]
fn a_cut_record_is_shown_as_far_as_it_goes() {
    let record = small();
    let Some(browser) = Browser::open(&record[..record.len() - 20]) else {
        return;
    };
    assert!(browser.dom("").number("slices") >= 6.0);
}

#[test]
fn the_page_zooms() {
    let Some(browser) = Browser::open(&small()) else {
        return;
    };
    let dom = browser.dom("zoom=8&at=0.25");
    let (from, to, end) = (dom.number("from"), dom.number("to"), dom.number("end"));
    assert!(((to - from) * 8.0 - end).abs() < 1.0);
    assert!(((from + to) / 2.0 - end / 4.0).abs() < 1.0);
    let [whole, part] = ["", "zoom=8&at=0.25"].map(|hash| browser.picture(hash, false));
    assert!(whole.different_pixels(&part) > 500);
}

#[test]
fn the_page_tells_all_of_a_slice() {
    let Some(browser) = Browser::open(&small()) else {
        return;
    };
    assert!(browser.dom("").details().is_empty());
    let dom = browser.dom("select=bad%20%3Cone%3E");
    let details = dom.details();
    assert_eq!(details["name"], "bad &lt;one&gt;");
    assert_eq!(details["outcome"], "failed");
    assert_eq!(details["kind"], "task");
    assert!(details["location"].starts_with("tests/timeline/page.rs:"));
    assert!(details["start"].ends_with('s'));
    let duration = details["duration"].strip_suffix(" ms");
    let duration: f64 = duration.expect(details["duration"]).parse().unwrap();
    assert!(duration >= 20.0);
    assert!(details["group"].starts_with("1: run crew (tests/"));
}

/// A hundred thousand children in a hundred groups, each with a poll.
fn large() -> Vec<u8> {
    let mut json = String::from("[\n");
    for pid in 1..=100 {
        let name = format!("group {pid}");
        writeln!(
            json,
            r#"{{"ph":"M","name":"process_name","pid":{pid},"tid":0,"args":{{"name":"{name}"}}}},"#
        )
        .unwrap();
        for child in 0..1000 {
            let (tid, ts) = (1 + child % 10, child / 10 * 997);
            let (dur, outcome) = (50 + child % 900, ["ok", "failed"][child % 2]);
            for (cat, dur) in [("child", dur), ("poll", 40)] {
                writeln!(
                    json,
                    r#"{{"ph":"X","name":"{cat} {child}","cat":"{cat}","pid":{pid},"tid":{tid},"ts":{ts}.5,"dur":{dur}.25,"args":{{"outcome":"{outcome}"}}}},"#
                )
                .unwrap();
            }
        }
    }
    json.truncate(json.len() - 2);
    json.push_str("\n]\n");
    json.into_bytes()
}

#[test]
fn a_hundred_thousand_slices_do_not_freeze_it() {
    let Some(browser) = Browser::open(&large()) else {
        return;
    };
    let dom = browser.dom("measure=12");
    assert_eq!(dom.number("slices"), 100_000.0);
    assert_eq!(dom.number("polls"), 100_000.0);
    // However many there are, it draws what is in sight: lanes that fit the window, each pixel at most once,
    // with its polls.
    let most = (HEIGHT / 18 + 2) * 2 * WIDTH;
    let drawn = dom.number("drawn");
    assert!(drawn > 1000.0 && drawn <= most as f64, "{drawn}");
    let slowest = dom.number("slowest");
    println!("the slowest of twelve redraws took {slowest} ms for {drawn} rectangles");
    assert!(slowest > 0.0 && slowest < 1000.0, "{slowest} ms");
}
