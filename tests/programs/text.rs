//! Programs as text, much like the code that they stand for. Each line ends with the step's number.

use std::fmt::{self, Display, Formatter};

use super::grammar::{Act, All, Block, Ends, Fate, Open, Opener, Program, Release, Way};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.exact {
            writeln!(f, "// Every duration has a fraction of its own.")?;
        }
        write!(f, "{}{{ // 0", head(&self.root))?;
        inside(f, &self.root.block, 1)?;
        f.write_str("})\n")
    }
}

fn head(open: &Open) -> String {
    let mut options = String::new();
    for (name, value) in [
        ("limit", open.limit),
        ("grace", open.grace),
        ("deadline", open.deadline),
    ] {
        if let Some(value) = value {
            options.push_str(&format!(".{name}({value})"));
        }
    }
    let opener = match open.opener {
        Opener::Group => "group",
        Opener::Scope => "scope",
        Opener::Supervise => "supervise",
    };
    match options.as_str() {
        "" => format!("{opener}(async |g| "),
        _ => format!("Options::new(){options}.{opener}(async |g| "),
    }
}

fn inside(f: &mut Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    f.write_str("\n")?;
    for step in block.steps() {
        write!(f, "{:1$}", "", depth * 4)?;
        let (before, after) = around(&step.act);
        match step.act.block() {
            Some(block) => {
                write!(f, "{before}{{ // {}", step.id)?;
                inside(f, block, depth + 1)?;
                writeln!(f, "}}{after};")?;
            }
            None => writeln!(f, "{before}{after}; // {}", step.id)?,
        }
    }
    write!(f, "{:1$}", "", (depth - 1) * 4)
}

/// A step's text before and after its block.
fn around(act: &Act) -> (String, String) {
    let (before, after) = match act {
        Act::Sleep(ticks) => (format!("sleep({ticks}).await"), ""),
        Act::Yield => ("checkpoint().await".into(), ""),
        Act::Fail => ("return Err(oops)".into(), ""),
        Act::Panic => ("panic!()".into(), ""),
        Act::Bomb => ("let _bomb = PanicOnDrop".into(), ""),
        Act::Heed(ticks) => (format!("select(cancelled(), sleep({ticks})).await"), ""),
        Act::Defer(release) => (format!("let guard = defer({})", released(release)), ""),
        Act::Drop => ("drop(guard)".into(), ""),
        Act::Close => ("guard.close().await".into(), ""),
        Act::Open(open) if open.propagate => (head(open), ").await?"),
        Act::Open(open) => (head(open), ").await.ok()"),
        Act::Timeout(ticks, _) => (format!("timeout({ticks}, async "), ").await"),
        Act::Enter(enter) => {
            let mut scope = match enter.timeout {
                Some(ticks) => format!("CancelScope::with_timeout({ticks})"),
                None => "CancelScope::new()".into(),
            };
            if enter.shielded {
                scope.push_str(".shield(true)");
            }
            if enter.early {
                scope.push_str(".cancel()");
            }
            (format!("{scope}.enter(async "), ").await")
        }
        Act::Shield(_) => ("shield(async ".into(), ").await"),
        Act::Bracket {
            acquire, release, ..
        } => {
            let after = format!(", {}).await", released(release));
            return (format!("bracket(sleep({acquire}), async |guard| "), after);
        }
        Act::Race(ticks, _) => (
            format!("select(sleep({ticks}), async "),
            ").await /* drops it */",
        ),
        Act::Forget(ticks, _) => (
            format!("select(sleep({ticks}), async "),
            ").await /* forgets it */",
        ),
        Act::Pause { after, away, .. } => {
            let before = format!("let left = select(sleep({after}), async ");
            let after = format!(").await; sleep({away}).await; left.await");
            return (before, after);
        }
        Act::Many(many) => {
            let (mut before, mut after) = match many.way {
                All::Mapped { limit, in_order } => (
                    format!("map_concurrent({limit}, ["),
                    String::from(if in_order { "]).in_order()" } else { "])" }),
                ),
                All::Completed => ("as_completed([".into(), "])".into()),
                All::Settled => ("gather_settled([".into(), "])".into()),
                All::Raced => ("race([".into(), "])".into()),
                All::Gathered => ("gather([".into(), "])".into()),
                All::RacedOk => ("race_ok([".into(), "])".into()),
            };
            if many.bomb {
                before.push_str("/* each gives a PanicOnDrop */ ");
            }
            if let Some(takes) = many.takes {
                after.push_str(&format!(".take({takes})"));
            }
            after.push_str(".for_each(drop).await");
            return (before, after);
        }
        Act::Item(_) => ("async ".into(), ""),
        Act::Spawn(spawn) => {
            let method = match spawn.way {
                Way::Plain => "spawn",
                Way::Named => "spawn_named",
                Way::Daemon => "spawn_daemon",
                Way::Try => "try_spawn",
                Way::WhenFree => "spawn_when_free",
            };
            let group = target("g", spawn.up);
            (
                format!("{}{group}.{method}(async ", kept(spawn.fate)),
                match (spawn.way, spawn.bomb) {
                    (Way::WhenFree, false) => ").await",
                    (Way::WhenFree, true) => "; PanicOnDrop).await",
                    (_, false) => ")",
                    (_, true) => "; PanicOnDrop)",
                },
            )
        }
        Act::Blocking(blocking) => {
            let group = target("g", blocking.up);
            let ask = format!("token.ask({})", blocking.asks);
            let before = format!("{}{group}.spawn_blocking(|token| ", kept(blocking.fate));
            match blocking.run {
                Some(_) => (format!("{before}{ask}.run(async |g| "), "))"),
                None => (format!("{before}{ask}"), ")"),
            }
        }
        Act::Start(start) => {
            let group = target("g", start.up);
            let after = format!(
                ").await /* sends after {} of its steps */",
                start.sends_after
            );
            return (format!("{group}.start(|started| async "), after);
        }
        Act::Await => ("handle.await".into(), ""),
        Act::CancelChild => ("handle.cancel()".into(), ""),
        Act::AwaitShared { cancel } => match cancel {
            false => ("shared.await".into(), ""),
            true => ("shared.cancel_and_await".into(), ""),
        },
        Act::CancelGroup { up, thread } => (cancel(&target("g", *up), *thread), ""),
        Act::CancelScope { up, thread } => (cancel(&target("scope", *up), *thread), ""),
        Act::Deadline { up, after } => {
            let scope = target("scope", *up);
            (format!("{scope}.set_deadline(now + {after})"), "")
        }
        Act::Shutdown { up, grace } => (format!("{}.shutdown({grace})", target("g", *up)), ""),
    };
    (before, after.to_owned())
}

fn target(name: &str, up: u8) -> String {
    match up {
        0 => name.to_owned(),
        _ => format!("{name}.up({up})"),
    }
}

fn cancel(target: &str, thread: bool) -> String {
    match thread {
        true => format!("thread::spawn(|| {target}.cancel()).join()"),
        false => format!("{target}.cancel()"),
    }
}

fn kept(fate: Fate) -> &'static str {
    match fate {
        Fate::Dropped => "",
        Fate::Kept => "let handle = ",
        Fate::Leaked => "let leaked = ",
        Fate::Shared => "let shared = ",
    }
}

fn released(release: &Release) -> String {
    let sleep = match release.nested {
        true => format!("group(spawn(sleep({})))", release.takes),
        false => format!("sleep({})", release.takes),
    };
    match release.ends {
        Ends::Well => format!("async {{ {sleep} }}"),
        Ends::Failing => format!("async {{ {sleep}; Err(oops) }}"),
        Ends::Panicking => format!("async {{ {sleep}; panic!() }}"),
    }
}
