//! A release returns nothing, or a result without a value.

fn main() {
    drop(headcount::defer((), async |()| 5));
}
