//! A child fails with the error type of its group.

fn add_child(g: &headcount::TaskGroup<'static, std::io::Error>) {
    g.spawn(async { Err::<(), _>("text") });
}

fn main() {
    let _ = headcount::run(async |g| {
        add_child(&g);
        Ok(())
    });
}
