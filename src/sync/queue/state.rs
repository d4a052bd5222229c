//! What stands under the lock of a `Queue`.

use std::{collections::VecDeque, task::Waker};

use super::PutError;
use crate::{
    hidden,
    sync::line::{Line, Lines},
};

/// Where there is no bound, memory for so many items is kept.
const KEPT: usize = 64;

pub(super) struct State<T> {
    /// Those that came back, in the order in which they did.
    returned: VecDeque<T>,
    /// Those that no consumer has had.
    items: VecDeque<T>,
    /// How many of these there may be; `None` if there is no bound.
    pub(super) capacity: Option<usize>,
    pub(super) closed: bool,
    /// How many were put and are not done: those in the queue, and those in the hands of consumers.
    inside: usize,
    pub(super) getters: Line,
    pub(super) putters: Line,
    pub(super) joiners: Line,
}

impl<T> State<T> {
    pub(super) fn new(capacity: Option<usize>) -> Self {
        State {
            returned: VecDeque::new(),
            items: VecDeque::with_capacity(capacity.unwrap_or(0)),
            capacity,
            closed: false,
            inside: 0,
            getters: Line::default(),
            putters: Line::default(),
            joiners: Line::default(),
        }
    }

    pub(super) fn put(&mut self, item: T) -> Result<(), PutError<T>> {
        if self.closed || self.room() == 0 {
            let full = !self.closed;
            return Err(PutError { item, full });
        }
        self.inside += 1;
        self.items.push_back(item);
        Ok(())
    }

    /// The first item goes into the hands of a consumer.
    pub(super) fn take(&mut self) -> Option<T> {
        let came_back = take_first(&mut self.returned, KEPT);
        came_back.or_else(|| take_first(&mut self.items, self.capacity.unwrap_or(KEPT)))
    }

    /// An item comes back.
    pub(super) fn put_back(&mut self, item: T) {
        self.returned.push_back(item);
    }

    /// An item is done.
    pub(super) fn finish_one(&mut self) {
        self.inside -= 1;
    }

    pub(super) fn len(&self) -> usize {
        self.returned.len() + self.items.len()
    }

    pub(super) fn unfinished(&self) -> usize {
        self.inside + self.putters.waiting()
    }

    /// Will there never be an item any more? Those who still wait to put will be refused.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.inside == 0
    }

    fn room(&self) -> usize {
        let capacity = self.capacity.unwrap_or(usize::MAX);
        capacity - self.items.len()
    }
}

/// Everybody, if what they wait for has come for good, or as many as find something.
fn turns(all: bool, some: usize) -> usize {
    if all { usize::MAX } else { some }
}

impl<T> Lines for State<T> {
    fn call(&mut self, told: &mut Vec<Waker>) {
        self.getters.call(turns(self.is_over(), self.len()), told);
        self.putters.call(turns(self.closed, self.room()), told);
        self.joiners.call(turns(self.unfinished() == 0, 0), told);
    }
}

/// Memory for more than `kept` items is given back when only few are left.
fn take_first<T>(items: &mut VecDeque<T>, kept: usize) -> Option<T> {
    let item = items.pop_front()?;
    let has_memory_for = items.capacity();
    if has_memory_for > kept && items.len() < has_memory_for / 4 {
        items.shrink_to(has_memory_for / 2);
    }
    Some(item)
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        hidden::drop_each(self.returned.drain(..).chain(self.items.drain(..)));
    }
}
