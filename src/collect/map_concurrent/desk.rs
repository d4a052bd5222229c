//! Where items wait for a worker, and outputs for the stream.
//!
//! Invariants
//! 1. While an item waits, a worker is on its way to the desk: it was spawned or woken, and has not come
//!    since (`called`). So whoever leaves an item behind calls one, unless one is called already; and an
//!    item is never behind another that takes long.
//! 2. At most one worker is idle; another that finds no item leaves. It is woken for an item, and at the
//!    end.
//! 3. The stream looks at the desk, and leaves its waker there, under one lock. So who brings an output
//!    either was seen, or wakes it.
//! 4. Once it is `closed`, no item waits and none is taken in: those that were there are dropped by who
//!    closes it, which is a worker that was cancelled, or the stream.
//! 5. No code of the user runs under the lock, but that a waker of the stream is copied.

use std::{
    collections::VecDeque, convert::Infallible, future::Future, pin::Pin, sync::Arc, task::Waker,
};

use super::worker::Worker;
use crate::{
    group::TaskGroup,
    kernel::{atomic::Lock, context, info::Info, ledger::Ask},
    panics,
};

/// `F` computes the output `T` of an item.
pub(super) struct Desk<F, T> {
    tray: Lock<Tray<F, T>>,
    /// Who the workers are.
    info: Info,
}

struct Tray<F, T> {
    group: Option<TaskGroup<'static, Infallible>>,
    /// In boxes, so that their memory is not kept where they wait.
    items: VecDeque<(u64, Pin<Box<F>>)>,
    outputs: VecDeque<(u64, T)>,
    /// Wakes the stream.
    reader: Option<Waker>,
    /// The number of the idle worker, and what wakes it.
    idle: Option<(u64, Waker)>,
    /// A worker is on its way.
    called: bool,
    /// How many workers there were.
    workers: u64,
    /// No item is begun any more.
    closed: bool,
    /// The stream has given everything.
    complete: bool,
    /// The stream is gone.
    unread: bool,
}

/// Who comes next to the desk.
enum Call<F, T> {
    Nobody,
    Idle(Waker),
    New(TaskGroup<'static, Infallible>, Worker<F, T>),
}

/// What a worker does next.
pub(super) enum Next<F> {
    Item(u64, Pin<Box<F>>),
    /// Nothing, until it is woken.
    Idle,
    Leave,
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
                called: false,
                workers: 0,
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
            tray.idle.take()
        };
        idle.into_iter().for_each(|(_, waker)| panics::wake(waker));
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

    /// Moves all that has come to the stream, which has nothing left; false if there is nothing.
    pub(super) fn take_or_park(&self, taken: &mut VecDeque<(u64, T)>, waker: &Waker) -> bool {
        let old = {
            let mut tray = self.tray.lock();
            if !tray.outputs.is_empty() {
                std::mem::swap(&mut tray.outputs, taken);
                return true;
            }
            tray.reader.replace(waker.clone())
        };
        drop(old);
        false
    }

    /// Drops the items that nobody has begun.
    pub(super) fn close(&self) {
        let items = self.tray.lock().close();
        context::drop_each(items);
    }

    /// The stream is gone, and nobody will take an output any more.
    pub(super) fn leave_unread(&self) {
        let (items, outputs, others) = {
            let mut tray = self.tray.lock();
            tray.unread = true;
            let outputs = std::mem::take(&mut tray.outputs);
            let others = (tray.reader.take(), tray.idle.take(), tray.group.take());
            (tray.close(), outputs, others)
        };
        drop(others);
        context::drop_each(items);
        context::drop_each(outputs);
    }
}

impl<F, T> Desk<F, T>
where
    F: Future<Output = Result<T, Infallible>> + Send + 'static,
    T: Send + 'static,
{
    /// Brings an item.
    pub(super) fn bring(self: &Arc<Self>, item: (u64, Pin<Box<F>>)) {
        let (call, late) = {
            let mut tray = self.tray.lock();
            match tray.closed {
                true => (Call::Nobody, Some(item)),
                false => {
                    tray.items.push_back(item);
                    (tray.call(self), None)
                }
            }
        };
        self.make(call);
        drop(late);
    }

    /// What the worker `me` does next, who brings the output of its last item. `called`: it was spawned, or
    /// idle, and comes for the first time since.
    pub(super) fn next(
        self: &Arc<Self>,
        me: u64,
        called: bool,
        output: Option<(u64, T)>,
        waker: &Waker,
    ) -> Next<F> {
        let (next, call, (reader, late)) = {
            let mut tray = self.tray.lock();
            let posted = output.map_or((None, None), |output| tray.post(output));
            match &tray.idle {
                // Nobody has called it since it was idle.
                Some((idle, _)) if *idle == me => tray.idle = None,
                _ if called => tray.called = false,
                _ => {}
            }
            let next = match tray.items.pop_front() {
                Some((number, item)) => Next::Item(number, item),
                None if tray.complete || tray.closed || tray.idle.is_some() => Next::Leave,
                None => {
                    tray.idle = Some((me, waker.clone()));
                    Next::Idle
                }
            };
            (next, tray.call(self), posted)
        };
        reader.into_iter().for_each(panics::wake);
        self.make(call);
        drop(late);
        next
    }

    fn make(&self, call: Call<F, T>) {
        match call {
            Call::Nobody => {}
            Call::Idle(waker) => panics::wake(waker),
            // If it is refused, it is dropped here, and closes the desk.
            Call::New(group, worker) => {
                drop(group.spawn_packed(self.info.clone(), Ask::Queue, worker));
            }
        }
    }
}

impl<F, T> Tray<F, T> {
    /// Gives the items, to be dropped outside the lock.
    fn close(&mut self) -> VecDeque<(u64, Pin<Box<F>>)> {
        self.closed = true;
        std::mem::take(&mut self.items)
    }

    /// Gives the waker of the stream, or back what nobody will take.
    fn post(&mut self, output: (u64, T)) -> (Option<Waker>, Option<(u64, T)>) {
        if self.unread {
            return (None, Some(output));
        }
        self.outputs.push_back(output);
        (self.reader.take(), None)
    }

    /// Whom to call, if an item waits (invariant 1).
    fn call(&mut self, desk: &Arc<Desk<F, T>>) -> Call<F, T> {
        if self.items.is_empty() || self.called {
            return Call::Nobody;
        }
        self.called = true;
        if let Some((_, waker)) = self.idle.take() {
            return Call::Idle(waker);
        }
        let group = self.group.clone().expect("items come after the group");
        self.workers += 1;
        Call::New(group, Worker::new(desk.clone(), self.workers))
    }
}
