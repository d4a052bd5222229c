//! Several things of the user whose destructors panic, dropped by the crate: each is, the first panic goes on, and
//! the process does not end (rule 14).

use std::{
    future::{Future, pending},
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures_util::future::select;
use headcount::{
    Options, Restart, Suppressed, TaskGroup, defer, gather, group, race, race_ok, shield,
    supervise, time::sleep, timeout,
};

use crate::support::{Oops, PanicOnDrop, SEEDS, catch, message, ok, secs, sim};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn boxed<T>(future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
    Box::pin(future)
}

/// The future panics with one of these, and tells of the others.
async fn panics_with(future: impl Future, mut texts: Vec<&'static str>) {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let hook = told.clone();
    let hook = move |left: &Suppressed| hook.lock().unwrap().push(left.text().to_owned());
    let outcome = Options::new().on_suppressed(hook).group(async |_| {
        let payload = catch(future).await.map(drop).unwrap_err();
        ok(message(&*payload).to_owned())
    });
    let mut found = match outcome.await {
        Ok(first) => vec![first],
        // What climbed is returned here.
        Err(error) => {
            let left = error.cleanup_failures().iter();
            left.map(|failure| failure.error().to_string()).collect()
        }
    };
    found.append(&mut told.lock().unwrap());
    found.sort();
    texts.sort();
    assert_eq!(found, texts);
}

#[test]
fn the_winner_of_a_race_beside_the_panic_of_a_loser() {
    sim(SEEDS, || async {
        let loser = boxed(async {
            shield(sleep(secs(2))).await;
            panic!("loser")
        });
        let winner = boxed(async {
            sleep(secs(1)).await;
            PanicOnDrop("winner")
        });
        panics_with(race([loser, winner]), vec!["loser", "winner"]).await;
    });
}

#[test]
fn the_winner_of_a_race_that_is_awaited_out_of_place() {
    sim(SEEDS, || async {
        let stays = boxed(async {
            shield(sleep(secs(9))).await;
            pending().await
        });
        let winner = boxed(async {
            sleep(secs(1)).await;
            PanicOnDrop("winner")
        });
        let mut kept = boxed(race([stays, winner]));
        let away = select(&mut kept, pending::<()>());
        assert!(timeout(secs(2), away).await.is_err());
        let payload = catch(kept).await.map(mem::forget).unwrap_err();
        assert!(message(&*payload).contains("await it where"));
    });
}

#[test]
fn errors_that_a_won_race_does_not_need() {
    sim(SEEDS, || async {
        let entrants = [
            boxed(async { Err(PanicOnDrop("one")) }),
            boxed(async { Err(PanicOnDrop("two")) }),
            boxed(async {
                sleep(secs(1)).await;
                Ok(())
            }),
        ];
        panics_with(race_ok(entrants), vec!["one", "two"]).await;
    });
}

#[test]
fn values_of_a_gather_that_fails() {
    sim(SEEDS, || async {
        // The first two have been read, or wait for one that does not end.
        for read in [true, false] {
            let first = match read {
                true => boxed(async { ok(PanicOnDrop("zero")) }),
                false => boxed(pending()),
            };
            let futures = [
                first,
                boxed(async { ok(PanicOnDrop("one")) }),
                boxed(async {
                    sleep(secs(1)).await;
                    Err(Oops("failed"))
                }),
                boxed(async { ok(PanicOnDrop("two")) }),
            ];
            let mut texts = vec!["one", "two", "Oops(\"failed\")"];
            if read {
                texts.push("zero");
            }
            panics_with(gather(futures), texts).await;
        }
    });
}

#[test]
fn values_of_a_gather_beside_a_failed_release() {
    sim(SEEDS, || async {
        let futures = ["one", "two"].map(|name| async move {
            let _guard = defer((), async |()| Err::<(), _>("release"));
            ok(PanicOnDrop(name))
        });
        panics_with(gather(futures), vec!["one", "two", "release", "release"]).await;
    });
}

/// They are never spawned, since what is around has been cancelled.
#[test]
fn refused_futures() {
    sim(SEEDS, || async {
        fn refused(name: &'static str) -> Boxed<Result<(), Oops>> {
            let bomb = PanicOnDrop(name);
            boxed(async move {
                let _bomb = bomb;
                pending().await
            })
        }
        for way in 0..3 {
            let cancelled = group(async move |g: TaskGroup<'static, Oops>| {
                g.cancel();
                let futures = ["one", "two"].map(refused);
                match way {
                    0 => drop(gather(futures).await),
                    1 => drop(race(futures).await),
                    _ => drop(race_ok(futures).await),
                }
                Ok(())
            });
            panics_with(cancelled, vec!["one", "two"]).await;
        }
    });
}

#[test]
fn an_output_that_a_panicking_body_has_the_handle_of() {
    sim(SEEDS, || async {
        let opening = group(async |g: TaskGroup<'static, Oops>| {
            let _handle = g.spawn(async { ok(PanicOnDrop("output")) });
            sleep(secs(1)).await;
            if true {
                panic!("body");
            }
            Ok(())
        });
        panics_with(opening, vec!["body", "output"]).await;
    });
}

#[test]
fn factories_of_restarted_children() {
    sim(SEEDS, || async {
        fn factory(name: &'static str) -> impl FnMut() -> Boxed<Result<(), Oops>> {
            let bomb = PanicOnDrop(name);
            move || {
                let _ = &bomb;
                boxed(async { Err(Oops("failed")) })
            }
        }
        let never = Restart::transient().child("a", factory("one"));
        let never = never.child("b", factory("two"));
        panics_with(async { drop(never) }, vec!["one", "two"]).await;
        let runs = Restart::transient().intensity(0, secs(1));
        let runs = runs.child("a", factory("one")).child("b", factory("two"));
        let outcome = catch(runs.run()).await.map(drop);
        assert!(["one", "two"].contains(&message(&*outcome.unwrap_err())));
    });
}

#[test]
fn errors_with_which_restarts_of_all_end() {
    sim(SEEDS, || async {
        let opening = group(async |g: TaskGroup<'static, Oops>| {
            let kept = Restart::transient()
                .one_for_all()
                .child("a", || async {
                    sleep(secs(1)).await;
                    Err::<(), _>(PanicOnDrop("one"))
                })
                .child("b", || async {
                    shield(sleep(secs(2))).await;
                    Err::<(), _>(PanicOnDrop("two"))
                })
                .child("c", || shield(sleep(secs(9))));
            g.spawn(async move {
                mem::forget(kept.run().await);
                ok(())
            });
            sleep(secs(5)).await;
            g.cancel();
            Ok(())
        });
        let outcome = catch(opening).await;
        assert!(outcome.is_ok(), "errors are dropped under `catch`");
    });
}

#[test]
fn errors_of_a_group_of_which_only_the_first_is_wanted() {
    sim(SEEDS, || async {
        let error = supervise(async |s| {
            for name in ["one", "two", "three"] {
                s.spawn(async move { Err::<(), _>(PanicOnDrop(name)) });
            }
            Ok(())
        });
        let error = error.await.unwrap_err();
        let names = vec!["one", "two", "three"];
        panics_with(async { error.into_first().map(mem::forget) }, names).await;
    });
}

#[test]
fn entrants_of_a_race_that_nobody_has_polled() {
    sim(SEEDS, || async {
        let entrants = ["one", "two"].map(|name| {
            let bomb = PanicOnDrop(name);
            async move { bomb }
        });
        let unpolled = race(entrants);
        panics_with(async { drop(unpolled) }, vec!["one", "two"]).await;
    });
}
