//! How programs are explored: at random, by PCT, and in full up to a number of preemptions.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    current::{TaskName, get_name_for_task},
    scheduler::{
        DfsScheduler, PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task,
        TaskId,
    },
    sync::{Condvar, Mutex},
};

/// Schedules of each of the two random kinds, unless `SHUTTLE_SCHEDULES` says otherwise.
const SCHEDULES: usize = 3_000;
/// The same schedules in each run, unless `SHUTTLE_RANDOM_SEED` says otherwise.
const SEED: u64 = 1;
/// Forced switches that PCT spreads over a schedule, plus one.
const PCT_DEPTH: usize = 3;

/// How the next task is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Random(usize),
    Pct(usize),
    /// Every schedule with at most so many preemptions.
    All(usize),
    /// The first so many of those.
    First {
        preemptions: usize,
        schedules: usize,
    },
}

/// Schedules of each of the two random kinds that are wanted of a program.
pub fn schedules() -> usize {
    match std::env::var("SHUTTLE_SCHEDULES") {
        Ok(number) => number.parse().expect("SHUTTLE_SCHEDULES is a number"),
        Err(_) => SCHEDULES,
    }
}

/// Runs `program` under random schedules of both kinds, as many as the environment says.
#[track_caller]
pub fn explore(program: impl Fn() + Send + Sync + Clone + 'static) {
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        let replay = ReplayScheduler::new_from_encoded(&schedule);
        Runner::new(replay, config(FailurePersistence::Print)).run(program);
        return;
    }
    let schedules = schedules();
    for choice in [Choice::Random(schedules), Choice::Pct(schedules)] {
        let start = std::time::Instant::now();
        let ran = run(choice, FailurePersistence::Print, program.clone());
        println!("{choice:?}: {:.1?}", start.elapsed());
        assert_eq!(ran, schedules, "an exploration ended early");
    }
}

/// The same, and every schedule with at most so many preemptions.
#[track_caller]
pub fn explore_all(preemptions: usize, program: impl Fn() + Send + Sync + Clone + 'static) {
    if std::env::var("SHUTTLE_REPLAY").is_err() {
        let choice = Choice::All(preemptions);
        let start = std::time::Instant::now();
        // It has no other end than that no schedule is left.
        let ran = run(choice, FailurePersistence::Print, program.clone());
        let took = start.elapsed();
        println!("all {ran} schedules with at most {preemptions} preemptions: {took:.1?}");
        assert!(ran > 1, "there was nothing to choose");
    }
    explore(program);
}

/// What the exploration of a program finds, if it finds something.
pub fn find(choice: Choice, program: impl Fn() + Send + Sync + 'static) -> Option<String> {
    let search = AssertUnwindSafe(|| run(choice, FailurePersistence::None, program));
    let payload = catch_unwind(search).err()?;
    let text = payload.downcast::<String>().map(|text| *text);
    Some(text.unwrap_or_else(|_| "a panic without a text".to_owned()))
}

fn run(
    choice: Choice,
    persistence: FailurePersistence,
    program: impl Fn() + Send + Sync + 'static,
) -> usize {
    fn go<S: Scheduler + 'static>(
        inner: S,
        preemptions: Option<usize>,
        persistence: FailurePersistence,
        program: impl Fn() + Send + Sync + 'static,
    ) -> usize {
        let rules = Rules::new(inner, preemptions);
        Runner::new(rules, config(persistence)).run(program)
    }
    match choice {
        Choice::Random(n) => go(
            RandomScheduler::new_from_seed(SEED, n),
            None,
            persistence,
            program,
        ),
        Choice::Pct(n) => go(
            PctScheduler::new_from_seed(SEED, PCT_DEPTH, n),
            None,
            persistence,
            program,
        ),
        Choice::All(bound) => go(
            DfsScheduler::new(None, false),
            Some(bound),
            persistence,
            program,
        ),
        Choice::First {
            preemptions,
            schedules,
        } => go(
            DfsScheduler::new(Some(schedules), false),
            Some(preemptions),
            persistence,
            program,
        ),
    }
}

fn config(persistence: FailurePersistence) -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    // Far more than any program here takes: a livelock.
    config.max_steps = MaxSteps::FailAfter(50_000);
    config.failure_persistence = persistence;
    config.silence_warnings = true;
    config
}

/// A scheduler that runs the clock when nobody else can run, and may bound the preemptions.
struct Rules<S> {
    inner: S,
    /// Tasks with a lower number have been looked at.
    seen: usize,
    clock: Option<TaskId>,
    preemptions: Option<usize>,
    left: usize,
}

impl<S> Rules<S> {
    fn new(inner: S, preemptions: Option<usize>) -> Self {
        Rules {
            inner,
            seen: 0,
            clock: None,
            preemptions,
            left: 0,
        }
    }

    fn look_for_clock(&mut self, runnable: &[&Task]) {
        let clock = TaskName::from("the clock");
        for task in runnable {
            let number = usize::from(task.id());
            if number >= self.seen {
                self.seen = number + 1;
                if get_name_for_task(task.id()).as_ref() == Some(&clock) {
                    self.clock = Some(task.id());
                }
            }
        }
    }
}

impl<S: Scheduler> Scheduler for Rules<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.seen = 0;
        self.clock = None;
        self.left = self.preemptions.unwrap_or(0);
        self.inner.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.look_for_clock(runnable);
        let others: Vec<&Task>;
        let tasks = match self.clock {
            Some(clock) if runnable.len() > 1 => {
                let tasks = runnable.iter().copied();
                others = tasks.filter(|task| task.id() != clock).collect();
                &others
            }
            _ => runnable,
        };
        if let [only] = tasks {
            return Some(only.id());
        }
        let goes_on = current.filter(|current| {
            let mut ids = tasks.iter().map(|task| task.id());
            !is_yielding && ids.any(|id| id == *current)
        });
        let Some(goes_on) = goes_on.filter(|_| self.preemptions.is_some()) else {
            return self.inner.next_task(tasks, current, is_yielding);
        };
        if self.left == 0 {
            return Some(goes_on);
        }
        let next = self.inner.next_task(tasks, current, is_yielding)?;
        self.left -= usize::from(next != goes_on);
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}

/// Blocks a thread of the program on a future, and polls it once for each wake (shuttle's `block_on`
/// does not: a wait for a mutex inside the future wakes it too, or takes a wake away).
///
/// All threads of the program share one of the system. So while one of them unwinds, a mutex that another
/// lets go of is poisoned, which means nothing here.
pub fn block_on<F: Future>(future: F) -> F::Output {
    #[derive(Default)]
    struct Signal {
        woken: Mutex<bool>,
        wakes: Condvar,
    }

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.wakes.notify_one();
        }
    }

    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let woken = signal.woken.lock();
        let woken = woken.unwrap_or_else(PoisonError::into_inner);
        let woken = signal.wakes.wait_while(woken, |woken| !*woken);
        let mut woken = woken.unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }
}
