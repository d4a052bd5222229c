//! Where items wait for a worker, and outputs for the stream.
//!
//! Invariants
//! 1. While an item waits, a worker is on its way to the desk: it was spawned or woken, and has not come
//!    since; `called` counts these. Whoever leaves an item behind calls one, if none is called already. So
//!    an item is never behind another that takes long.
//! 2. If the last item that was begun kept its worker, each item has one called for itself, since those who
//!    have come will be kept too. Else one at a time is called, since those who have come will come again.
//! 3. At most one worker is idle; another that finds no item leaves. It is woken for an item, and to
//!    leave when the stream waits for items alone (`resting`), or is complete.
//! 4. The stream looks at the desk, and leaves its waker there, under one lock. So who brings an output
//!    either was seen, or wakes it.
//! 5. Once it is `closed`, no item is begun, and none taken in. Its group is cancelled then, by a request of
//!    its own, which no shield around takes away; and each worker on its way drops its share of the items
//!    when it is dropped itself: by the first invariant, all are. Each does so in its own frame, so
//!    that their releases do not wait for each other, if each has its worker (2).
//! 6. No code of the user runs under the lock.

use std::{
    collections::VecDeque, convert::Infallible, future::Future, pin::Pin, sync::Arc, task::Waker,
};

use super::worker::Worker;
use crate::{
    group::TaskGroup,
    kernel::{atomic::Lock, info::Info, inherited::suppress, ledger::Ask},
    panics,
};

/// An item: its number, and what computes its output. In a box, so that its memory is not kept where it
/// waits.
pub(super) type Item<F> = (u64, Pin<Box<F>>);

/// `F` computes the output `T` of an item.
pub(super) struct Desk<F, T> {
    tray: Lock<Tray<F, T>>,
    /// Who the workers are.
    info: Info,
}

struct Tray<F, T> {
    group: Option<TaskGroup<'static, Infallible>>,
    items: VecDeque<Item<F>>,
    outputs: VecDeque<(u64, T)>,
    /// Wakes the stream.
    reader: Option<Waker>,
    /// The number of the idle worker, and what wakes it.
    idle: Option<(u64, Waker)>,
    /// How many workers are on their way.
    called: usize,
    /// How many workers there were.
    workers: u64,
    /// The last item that was begun kept its worker.
    waits: bool,
    resting: bool,
    closed: bool,
    /// The stream has given everything.
    complete: bool,
    /// The stream is gone.
    unread: bool,
}

/// Who comes next to the desk.
enum Call<F, T> {
    Idle(Waker),
    New(TaskGroup<'static, Infallible>, Worker<F, T>),
}

/// What a worker does next.
pub(super) enum Next<F> {
    Item(Item<F>),
    /// Nothing, until it is woken.
    Idle,
    Leave,
    /// It will be dropped.
    Cancelled,
}

impl<F, T> Desk<F, T> {
    pub(super) fn new(info: Info) -> Arc<Self> {
        Arc::new(Desk {
            tray: Lock::new(Tray {
                group: None,
                items: VecDeque::new(),
                outputs: VecDeque::new(),
                reader: None,
                idle: None,
                called: 0,
                workers: 0,
                waits: true,
                resting: false,
                closed: false,
                complete: false,
                unread: false,
            }),
            info,
        })
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    /// The group has been opened.
    pub(super) fn open(&self, group: TaskGroup<'static, Infallible>) {
        self.tray.lock().group = Some(group);
    }

    /// The group, from when it has been opened until the stream is gone.
    pub(super) fn group(&self) -> Option<TaskGroup<'static, Infallible>> {
        self.tray.lock().group.clone()
    }

    /// The stream has given everything.
    pub(super) fn complete(&self) {
        let idle = {
            let mut tray = self.tray.lock();
            tray.complete = true;
            tray.rouse()
        };
        idle.into_iter().for_each(panics::wake);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.tray.lock().complete
    }

    /// Brings an output. Gives back what nobody will take any more, to be dropped outside the lock.
    pub(super) fn post(&self, output: (u64, T)) -> Option<(u64, T)> {
        let (reader, late) = self.tray.lock().post(output);
        reader.into_iter().for_each(panics::wake);
        late
    }

    /// Moves all that has come to the stream, which has nothing left; false if there is nothing. `resting`:
    /// no item waits or has been begun.
    pub(super) fn take_or_park(
        &self,
        taken: &mut VecDeque<(u64, T)>,
        resting: bool,
        waker: &Waker,
    ) -> bool {
        let waker = waker.clone();
        let (old, idle) = {
            let mut tray = self.tray.lock();
            if !tray.outputs.is_empty() {
                std::mem::swap(&mut tray.outputs, taken);
                return true;
            }
            tray.resting = resting;
            let idle = if resting { tray.rouse() } else { None };
            (tray.reader.replace(waker), idle)
        };
        idle.into_iter().for_each(panics::wake);
        drop(old);
        false
    }

    /// The worker `me` is dropped before it has left. Gives the items that it has to drop. `called`: it is
    /// on its way here, or idle.
    pub(super) fn abandon(&self, me: u64, called: bool) -> Vec<Item<F>> {
        let mut tray = self.tray.lock();
        let group = match std::mem::replace(&mut tray.closed, true) {
            true => None,
            false => tray.group.clone(),
        };
        let idle = tray.idle.take_if(|(idle, _)| *idle == me);
        let items = match called && idle.is_none() {
            true => {
                let share = tray.items.len().div_ceil(tray.called);
                tray.called -= 1;
                tray.items.drain(..share).collect()
            }
            false => Vec::new(),
        };
        drop(tray);
        drop(idle);
        if let Some(group) = group {
            group.book.node().cut_off();
        }
        items
    }

    /// The stream is gone. Gives the outputs that nobody will take any more.
    pub(super) fn leave_unread(&self) -> VecDeque<(u64, T)> {
        let (outputs, reader, group) = {
            let mut tray = self.tray.lock();
            tray.unread = true;
            tray.closed = true;
            let outputs = std::mem::take(&mut tray.outputs);
            (outputs, tray.reader.take(), tray.group.take())
        };
        panics::guard("the destructor of a waker", || drop(reader));
        drop(group);
        outputs
    }
}

impl<F, T> Desk<F, T>
where
    F: Future<Output = Result<T, Infallible>> + Send + 'static,
    T: Send + 'static,
{
    /// Brings an item.
    pub(super) fn bring(self: &Arc<Self>, item: Item<F>) {
        let (call, late) = {
            let mut tray = self.tray.lock();
            tray.resting = false;
            match tray.closed {
                true => (None, Some(item)),
                false => {
                    tray.items.push_back(item);
                    (tray.call(self), None)
                }
            }
        };
        self.make(call);
        drop(late);
    }

    /// What the worker `me` does next, who brings the output of its last item, if that did not have to
    /// wait. `called`: it was spawned, or idle, and comes for the first time since; it stays so if it is
    /// cancelled.
    pub(super) fn next(
        self: &Arc<Self>,
        me: u64,
        called: &mut bool,
        output: Option<(u64, T)>,
        waker: &Waker,
    ) -> Next<F> {
        let (next, call, (reader, late)) = {
            let mut tray = self.tray.lock();
            tray.waits &= output.is_none();
            let posted = output.map_or((None, None), |output| tray.post(output));
            let next = match tray.closed {
                true => Next::Cancelled,
                false => {
                    match &tray.idle {
                        // Nobody has called it since it was idle.
                        Some((idle, _)) if *idle == me => tray.idle = None,
                        _ if *called => tray.called -= 1,
                        _ => {}
                    }
                    *called = false;
                    tray.next()
                }
            };
            if let Next::Idle = next {
                tray.idle = Some((me, waker.clone()));
                *called = true;
            }
            (next, tray.call(self), posted)
        };
        reader.into_iter().for_each(panics::wake);
        // Caught, since there may be an item in hand, whose destructor may panic too.
        if let Err(payload) = panics::catch(|| self.make(call)) {
            suppress(payload);
        }
        drop(late);
        next
    }

    /// An item that was begun keeps its worker.
    pub(super) fn waits(self: &Arc<Self>) {
        let call = {
            let mut tray = self.tray.lock();
            tray.waits = true;
            tray.call(self)
        };
        self.make(call);
    }

    /// Makes that call, and those that are left.
    fn make(self: &Arc<Self>, mut call: Option<Call<F, T>>) {
        while let Some(made) = call {
            match made {
                Call::Idle(waker) => panics::wake(waker),
                // If it is refused, it is dropped here.
                Call::New(group, worker) => {
                    drop(group.spawn_packed(self.info.clone(), Ask::Queue, worker));
                }
            }
            call = self.tray.lock().call(self);
        }
    }
}

impl<F, T> Tray<F, T> {
    /// Gives the waker of the stream, or back what nobody will take.
    fn post(&mut self, output: (u64, T)) -> (Option<Waker>, Option<(u64, T)>) {
        if self.unread {
            return (None, Some(output));
        }
        self.outputs.push_back(output);
        (self.reader.take(), None)
    }

    /// For a worker that has come.
    fn next(&mut self) -> Next<F> {
        match self.items.pop_front() {
            Some(item) => Next::Item(item),
            None if self.complete || self.resting || self.idle.is_some() => Next::Leave,
            None => Next::Idle,
        }
    }

    /// Whom to call (invariants 1 and 2).
    fn call(&mut self, desk: &Arc<Desk<F, T>>) -> Option<Call<F, T>> {
        let wanted = match self.waits {
            true => self.items.len(),
            false => self.items.len().min(1),
        };
        if self.called >= wanted || self.closed {
            return None;
        }
        if let Some(waker) = self.rouse() {
            return Some(Call::Idle(waker));
        }
        let group = self.group.clone().expect("items come after the group");
        self.called += 1;
        self.workers += 1;
        Some(Call::New(group, Worker::new(desk.clone(), self.workers)))
    }

    /// Calls the idle worker, if there is one.
    fn rouse(&mut self) -> Option<Waker> {
        let (_, waker) = self.idle.take()?;
        self.called += 1;
        Some(waker)
    }
}
