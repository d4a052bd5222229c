//! What goes to the log. A simulation runs its tasks on the thread of its test, so each test sees its own.

use std::{
    cell::{Cell, RefCell},
    sync::Once,
};

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Does the log of this thread panic after each line?
    pub static PANICS: Cell<bool> = const { Cell::new(false) };
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("headcount")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            // A thread that ends may have none any more.
            let _ = LINES.try_with(|lines| lines.borrow_mut().push(line));
            if PANICS.try_with(Cell::get) == Ok(true) {
                panic!("the log panics");
            }
        }
    }

    fn flush(&self) {}
}

/// What `f` writes into the log on this thread, as `"LEVEL text"`.
pub fn logged(f: impl FnOnce()) -> Vec<String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(LevelFilter::Warn);
    });
    LINES.with(|lines| lines.borrow_mut().clear());
    f();
    LINES.with(|lines| std::mem::take(&mut *lines.borrow_mut()))
}
