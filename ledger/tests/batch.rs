//! Many commands in one transaction: each by itself, linked, and from many callers at once.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{People, assert_clean, new_hold, read, transfer, usd, write};
use ledger::{
    Code, Command, Error, Leg, NewTransaction, Outcome, Writer, WriterConfig, balance, execute,
    execute_linked, find_account, hold,
};
use store::{AccountId, Amount, PartyId, on_both_databases};

fn pay(key: &str, people: &People, amount: Amount) -> Command {
    Command::post(transfer(key, people.wallet, people.cash, amount))
}

fn answers(outcomes: &[Result<Outcome, Error>]) -> Vec<String> {
    let text = |answer: &Result<Outcome, Error>| match answer {
        Ok(Outcome::Posted(posted)) if posted.replayed => "replayed".to_owned(),
        Ok(Outcome::Posted(_)) => "posted".to_owned(),
        Ok(Outcome::Held(_)) => "held".to_owned(),
        Ok(Outcome::Released(amount)) => format!("released {amount}"),
        Err(error) => format!("{error:?}").split([' ', '(']).next().unwrap().to_owned(),
    };
    outcomes.iter().map(text).collect()
}

on_both_databases! {
    fn a_refusal_in_a_batch_is_its_own(db) {
        let people = People::with(&db, usd(10));
        let newcomer: PartyId = write(&db.store, |tx| Ok(tx.id()));
        let commands = |tx: &mut store::Tx<'_>| vec![
            pay("a", &people, usd(7)),
            pay("b", &people, usd(7)),
            Command::hold(new_hold("h", people.wallet, usd(2))),
            pay("a", &people, usd(7)),
            pay("a", &people, usd(6)),
            pay("c", &people, usd(2)),
            Command::deposit(tx.id(), newcomer, "USD", usd(1)),
            Command::deposit(tx.id(), newcomer, "USD", Amount(-1)),
            pay("d", &people, usd(1)),
        ];
        let first = write(&db.store, |tx| { let all = commands(tx); execute(tx, &all) });
        assert_eq!(answers(&first), [
            "posted", "InsufficientFunds", "held", "replayed", "KeyReused", "InsufficientFunds",
            "posted", "NotPositive", "posted",
        ]);
        // Sent again, what was done is replayed though it could not be done now; what was refused
        // has consumed nothing.
        let again = write(&db.store, |tx| { let all = commands(tx); execute(tx, &all) });
        assert_eq!(answers(&again), [
            "replayed", "InsufficientFunds", "held", "replayed", "KeyReused", "InsufficientFunds",
            "posted", "NotPositive", "replayed",
        ]);
        assert!(matches!(again[2], Ok(Outcome::Held(placed)) if placed.replayed));
        assert_eq!(people.balance(&db, Code::OwnerCash, "USD").posted, usd(8));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn linked_commands_are_done_together_or_not_at_all(db) {
        let people = People::with(&db, usd(10));
        let newcomer: PartyId = write(&db.store, |tx| Ok(tx.id()));
        let failed = write(&db.store, |tx| {
            let group = [
                pay("a", &people, usd(6)),
                Command::hold(new_hold("h", people.wallet, usd(1))),
                Command::deposit(tx.id(), newcomer, "USD", usd(1)),
                pay("b", &people, usd(6)),
                pay("c", &people, usd(1)),
            ];
            // The transaction goes on after the refusal, and commits.
            Ok(execute_linked(tx, &group).unwrap_err())
        });
        let Error::InsufficientFunds { available, needed, .. } = failed else { panic!("{failed}") };
        assert_eq!((available, needed), (usd(3), usd(6)));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD").held, Amount::ZERO);
        let none = read(&db.store, |tx| find_account(tx, Code::CustomerWallet, newcomer, "USD"));
        assert_eq!(none, None, "a refused group opens no account");
        let group = [pay("a", &people, usd(6)), pay("b", &people, usd(4))];
        let done = write(&db.store, |tx| execute_linked(tx, &group));
        let again = write(&db.store, |tx| execute_linked(tx, &group));
        for (first, again) in done.iter().zip(again) {
            let (first, again) = (first.posted().unwrap(), again.posted().unwrap());
            assert_eq!((first.id, first.replayed, again.replayed), (again.id, false, true));
        }
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD").posted, Amount::ZERO);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_failed_group_between_others_leaves_them_alone(db) {
        let people = People::with(&db, usd(10));
        let writer = Writer::new(db.store.clone(), WriterConfig::default());
        let held = writer.execute(Command::hold(new_hold("h", people.wallet, usd(5)))).unwrap();
        let Outcome::Held(placed) = held else { panic!("{held:?}") };
        let capture = |key: &str, amount| {
            Command::capture(placed.id, transfer(key, people.wallet, people.cash, amount))
        };
        let group = vec![capture("x", usd(3)), Command::release(placed.id), capture("y", usd(1))];
        assert!(matches!(writer.execute_linked(group), Err(Error::HoldEnded(_))));
        let state = read(&db.store, |tx| hold(tx, placed.id));
        assert_eq!((state.open, state.captured, state.events), (true, Amount::ZERO, 1));
        let group = vec![capture("x", usd(3)), Command::release(placed.id)];
        assert_eq!(writer.execute_linked(group).unwrap()[1], Outcome::Released(usd(2)));
        drop(writer);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn callers_of_a_writer_share_one_hot_account(db) {
        let (callers, rounds) = (16, 20);
        let people = People::with(&db, usd(1_000));
        let bounds = WriterConfig { max_batch: 8, max_waiting: 4 };
        let writer = Arc::new(Writer::new(db.store.clone(), bounds));
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let (writer, people) = (&writer, &people);
                scope.spawn(move || {
                    for round in 0..rounds {
                        let key = format!("{caller} {round}");
                        let all = writer.execute_all(vec![
                            pay(&key, people, Amount(3)),
                            pay(&format!("{key} too much"), people, usd(2_000)),
                            pay(&key, people, Amount(3)),
                        ]);
                        let all = answers(&all.unwrap());
                        assert_eq!(all, ["posted", "InsufficientFunds", "replayed"]);
                    }
                });
            }
        });
        let got = people.balance(&db, Code::OwnerCash, "USD").posted;
        assert_eq!(got, Amount(3 * callers * rounds));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn two_writers_do_one_key_once(db) {
        let people = People::with(&db, usd(1_000));
        let writers = [0, 1].map(|_| Writer::new(db.store.clone(), WriterConfig::default()));
        // The same keys in another order, with new accounts to open on the way.
        let owners: Vec<PartyId> = write(&db.store, |tx| Ok((0..40).map(|_| tx.id()).collect()));
        let deposits: Vec<_> = write(&db.store, |tx| Ok((0..40).map(|_| tx.id()).collect()));
        let mut commands: Vec<Command> = (0..40)
            .map(|n| Command::deposit(deposits[n], owners[n], "USD", usd(1)))
            .chain((0..40).map(|n| pay(&format!("k{n}"), &people, usd(1))))
            .collect();
        let forward = commands.clone();
        commands.reverse();
        let done: usize = std::thread::scope(|scope| {
            let run = |(writer, commands): (&Writer, Vec<Command>)| {
                let all = writer.execute_all(commands).unwrap();
                let new = |answer: &Result<Outcome, Error>| {
                    !answer.as_ref().unwrap().posted().unwrap().replayed
                };
                all.iter().filter(|answer| new(answer)).count()
            };
            let threads = [(&writers[0], forward), (&writers[1], commands)];
            let threads = threads.map(|pair| scope.spawn(move || run(pair)));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, 80);
        assert_eq!(people.balance(&db, Code::OwnerCash, "USD").posted, usd(40));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_batch_of_thousands_is_one_net_update_of_each_balance(db) {
        let people = People::with(&db, usd(1_000));
        let others: Vec<AccountId> = write(&db.store, |tx| {
            (0..300).map(|_| {
                let party = tx.id();
                ledger::open_account(tx, Code::OwnerCash, party, "USD")
            }).collect()
        });
        let legs = |n: usize| vec![
            Leg { account: people.wallet, amount: Amount(2) },
            Leg { account: others[n % others.len()], amount: Amount(-2) },
        ];
        let new = |n: usize| NewTransaction { legs: legs(n), ..transfer(&format!("k{n}"), people.wallet, people.cash, Amount(1)) };
        let commands: Vec<Command> = (0..3_000).map(|n| Command::post(new(n))).collect();
        let first = write(&db.store, |tx| execute(tx, &commands));
        assert!(first.iter().all(|answer| !answer.as_ref().unwrap().posted().unwrap().replayed));
        let again = write(&db.store, |tx| execute(tx, &commands[1_000..2_000]));
        assert!(again.iter().all(|answer| answer.as_ref().unwrap().posted().unwrap().replayed));
        let one = read(&db.store, |tx| balance(tx, others[0]));
        assert_eq!(one.posted, Amount(20));
        let report = assert_clean(&db.store);
        assert_eq!(report.entries, 6_000 + 2);
    }
}
