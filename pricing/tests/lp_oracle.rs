//! Welfare equals the optimum that an independent LP solver finds.

mod common;

use common::oracle::ask;
use common::{Family, Random, SMALL, Size, book_of, long};
use pricing::{Book, check, clear};

#[test]
fn welfare_is_the_lp_optimum() {
    let instances = if long() { 3_000 } else { 400 };
    let books = books(instances, Family::Convex);
    let optima = ask(&books);
    assert_eq!(optima.len(), books.len(), "one optimum per book");
    let mut traded = 0;
    for (n, (book, optimum)) in books.iter().zip(optima).enumerate() {
        let clearing = clear(book).expect("the book is valid");
        assert_eq!(check(book, &clearing), Ok(()), "instance {n}: {book:?}");
        assert_eq!(clearing.welfare, optimum.relaxed, "instance {n}: {book:?}");
        traded += usize::from(!clearing.fills.is_empty());
    }
    assert!(traded * 2 > books.len(), "only {traded} of {instances} instances traded at all");
}

/// Rejecting bids that cannot be served whole costs little of the welfare that an exhaustive search
/// finds, and what it could have been without such bids is told exactly.
#[test]
fn welfare_is_near_the_optimum_of_all_or_none_bids() {
    let instances = if long() { 3_000 } else { 600 };
    let books = books(instances, Family::AllOrNone);
    let (mut shares, mut counted, mut worst) = (0.0, 0.0, 1.0_f64);
    for (n, (book, optimum)) in books.iter().zip(ask(&books)).enumerate() {
        let clearing = clear(book).expect("the book is valid");
        assert_eq!(check(book, &clearing), Ok(()), "instance {n}: {book:?}");
        assert_eq!(clearing.bound, optimum.relaxed, "instance {n}: {book:?}");
        assert!(clearing.welfare <= optimum.whole, "instance {n}: {book:?}");
        if optimum.whole > 0 {
            let share = clearing.welfare as f64 / optimum.whole as f64;
            (shares, counted, worst) = (shares + share, counted + 1.0, worst.min(share));
        }
    }
    let mean = shares / counted;
    println!("welfare is {mean} of the optimum in the mean of {counted}, {worst} in the worst");
    assert!(mean >= 0.99, "welfare is only {mean} of the optimum in the mean");
}

/// Mostly small books, where ties and exhausted cells abound, and some larger ones.
fn books(instances: usize, family: Family) -> Vec<Book> {
    let larger = Size { cells: 12, levels: 8, bids: 60, lanes: 40, price: 500 };
    let mut random = Random(20_261_101);
    let size = |n| if n % 4 == 3 { &larger } else { &SMALL };
    (0..instances).map(|n| book_of(family, &mut random, size(n))).collect()
}
