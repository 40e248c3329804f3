//! The page of results, and whether everything adds up.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ledger::proof::Extent;
use serde_json::{Value, json};
use store::Amount;

use super::client::Client;
use super::{Customer, Owner};
use crate::proof;

/// The night in figures. Credits and bonus are at redemption value, one dollar a credit.
pub struct Report {
    jobs: Vec<Job>,
    vehicles: usize,
    leases: BTreeMap<&'static str, usize>,
    cells: Vec<Value>,
    customers: Customers,
    owners: Owners,
    fee: Amount,
    trial_balance: BTreeMap<String, Amount>,
    books_clean: bool,
    paid_out: Amount,
    statements_agree: bool,
    /// Blocks of the sealed book, and whether it was verified from its rows.
    proof: (u64, bool),
    wall_ms: u128,
}

struct Job {
    id: String,
    customer: &'static str,
    name: &'static str,
    runtime: &'static str,
    tasks: u64,
    completed: u64,
    spent: Amount,
    accuracy_ppm: Option<i64>,
    says: String,
}

#[derive(Default)]
struct Customers {
    deposited: Amount,
    spent: Amount,
    held: Amount,
    balance: Amount,
}

#[derive(Default)]
struct Owners {
    cash: Amount,
    credits: Amount,
    credit_bonus: Amount,
}

fn amount(value: &Value) -> anyhow::Result<Amount> {
    let text = value.as_str().or_else(|| value["amount"].as_str()).context("an amount")?;
    Ok(text.parse()?)
}

impl Report {
    /// Asks the API for everything, has the owners paid out, and keeps the documents under `data`.
    pub(super) fn collect(
        customers: &[Customer],
        owners: &[Owner],
        finance: &Client,
        data: &Path,
        began: Instant,
    ) -> anyhow::Result<Self> {
        let jobs = customers.iter().map(load_job).collect::<anyhow::Result<Vec<_>>>()?;
        let lines = finance.get("/v1/ledger/trial-balance")?["lines"].take();
        let line = |account: &str, side: &str| sum(&lines, account, side);
        let mut report = Self {
            jobs,
            vehicles: owners.iter().map(|owner| owner.cars.len()).sum(),
            leases: count_leases(customers)?,
            cells: load_cells(finance)?,
            customers: load_customers(customers)?,
            owners: Owners { credit_bonus: line("bonus_expense", "debit")?, ..Owners::default() },
            fee: line("fee_income", "credit")?,
            trial_balance: BTreeMap::new(),
            books_clean: false,
            paid_out: Amount::ZERO,
            statements_agree: true,
            proof: (0, false),
            wall_ms: 0,
        };
        for owner in owners {
            let earnings = owner.client.get("/v1/earnings")?;
            report.owners.cash = report.owners.cash + amount(&earnings["cash"])?;
            report.owners.credits = report.owners.credits + amount(&earnings["credits"])?;
        }
        report.paid_out = pay_out(owners, finance, data)?;
        for owner in owners {
            report.statements_agree &= statement_agrees(owner, data)?;
        }
        report.check_books(finance)?;
        std::fs::write(
            data.join("journal.hledger"),
            finance.text("/v1/ledger/journal?format=hledger")?,
        )?;
        report.wall_ms = began.elapsed().as_millis();
        Ok(report)
    }

    fn check_books(&mut self, finance: &Client) -> anyhow::Result<()> {
        let check = finance.get("/v1/ledger/check")?;
        self.books_clean = check["clean"] == true;
        for (asset, total) in check["trial_balance"].as_object().context("a trial balance")? {
            self.trial_balance.insert(asset.clone(), amount(total)?);
        }
        Ok(())
    }

    /// Seals the book and derives it again from its rows.
    pub(super) fn prove(&mut self, store: &store::Store) -> anyhow::Result<()> {
        proof::seal(store, Extent::All)?;
        let keys = proof::public_keys(store)?;
        let verified = store.read(|tx| ledger::proof::verify(tx, &keys))?;
        self.proof = (verified.blocks, verified.holds() && verified.unsealed == 0);
        Ok(())
    }

    /// Every task done, every book clean, and not a micro-dollar astray.
    pub fn adds_up(&self) -> bool {
        let Customers { deposited, spent, held, balance } = self.customers;
        let Owners { cash, credits, credit_bonus } = self.owners;
        let done = self.jobs.iter().all(|job| job.completed == job.tasks);
        let accurate = self.jobs.iter().all(|job| job.accuracy_ppm.is_none_or(|ppm| ppm > 950_000));
        let zero = self.trial_balance.values().all(|total| *total == Amount::ZERO);
        let money = spent == cash + credits - credit_bonus + self.fee;
        let wallets = deposited - spent == balance && held == Amount::ZERO;
        let proved = self.books_clean && self.statements_agree && self.proof.1;
        done && accurate && zero && money && wallets && proved
    }

    pub fn json(&self) -> Value {
        let jobs = self.jobs.iter().map(|job| {
            let mut value = json!({
                "id": job.id,
                "runtime": job.runtime,
                "tasks": job.tasks,
                "completed": job.completed,
            });
            if let Some(ppm) = job.accuracy_ppm {
                value["accuracy"] = json!(serde_json::Number::from_f64(ratio(ppm)));
            }
            value
        });
        json!({
            "jobs": jobs.collect::<Vec<_>>(),
            "vehicles": self.vehicles,
            "leases": self.leases,
            "market": { "cells": self.cells },
            "customers": {
                "deposited": self.customers.deposited,
                "spent": self.customers.spent,
                "held": self.customers.held,
                "balance": self.customers.balance,
            },
            "owners": {
                "cash": self.owners.cash,
                "credits": self.owners.credits,
                "credit_bonus": self.owners.credit_bonus,
            },
            "fee": self.fee,
            "paid_out": self.paid_out,
            "trial_balance": self.trial_balance,
            "books_clean": self.books_clean,
            "proof": { "blocks": self.proof.0, "verified": self.proof.1 },
            "adds_up": self.adds_up(),
            "wall_s": ratio(i64::try_from(self.wall_ms).unwrap_or(i64::MAX).saturating_mul(1_000)),
        })
    }

    /// For people.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write_page(&mut page);
        page
    }

    fn write_page(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "\nWhat customers got")?;
        for job in &self.jobs {
            writeln!(page, "  {:<22} {}", job.customer, job.name)?;
            let (done, all) = (job.completed, job.tasks);
            writeln!(page, "  {:<22} {done}/{all} tasks, ${}: {}", "", job.spent, job.says)?;
        }
        writeln!(page, "\nWhat an hour of a car cost at last")?;
        for cell in &self.cells {
            let text = |name: &str| cell[name].as_str().unwrap_or_default().to_owned();
            let (region, class) = (text("region"), text("class"));
            writeln!(page, "  {region:<8} {class:<6} ${:>10}", text("clearing_price"))?;
        }
        let count = |what| self.leases.get(what).copied().unwrap_or_default();
        writeln!(
            page,
            "\n{} cars, {} leases completed, {} vacated by their drivers, {} lost, {} failed",
            self.vehicles,
            count("completed"),
            count("vacated"),
            count("lost"),
            count("failed"),
        )?;
        self.write_money(page)
    }

    fn write_money(&self, page: &mut String) -> std::fmt::Result {
        let Customers { deposited, spent, balance, .. } = self.customers;
        let Owners { cash, credits, credit_bonus } = self.owners;
        writeln!(page, "\nWhere the money went")?;
        for (what, amount) in [
            ("customers paid in", deposited),
            ("of it spent", spent),
            ("  owners, in cash", cash),
            ("  owners, in credits", credits),
            ("  less the bonus on credits", -credit_bonus),
            ("  platform's fee", self.fee),
            ("left in wallets", balance),
            ("paid out to owners' banks", self.paid_out),
        ] {
            writeln!(page, "  {what:<28} ${amount:>12}", amount = amount.to_string())?;
        }
        for (asset, total) in &self.trial_balance {
            writeln!(page, "  trial balance {asset:<15}  {total:>12}", total = total.to_string())?;
        }
        let (blocks, verified) = self.proof;
        let verified = if verified { "verified" } else { "NOT VERIFIED" };
        writeln!(page, "  blocks of the sealed book {blocks:>15}  {verified}")?;
        let verdict = match self.adds_up() {
            true => "Everything adds up, to the micro-dollar.",
            false => "SOMETHING DOES NOT ADD UP.",
        };
        let (s, tenths) = (self.wall_ms / 1_000, self.wall_ms / 100 % 10);
        writeln!(page, "\n{verdict} ({s}.{tenths} s)")
    }
}

/// For display only: parts per million as a number.
#[allow(clippy::float_arithmetic)]
fn ratio(ppm: i64) -> f64 {
    ppm as f64 / 1e6
}

fn load_job(customer: &Customer) -> anyhow::Result<Job> {
    let job = customer.load()?;
    let tasks = customer.client.list(&format!("/v1/jobs/{}/tasks", customer.job))?;
    let outputs = tasks
        .iter()
        .filter_map(|task| task["output"].as_str())
        .map(|digest| customer.client.download(digest))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (says, accuracy_ppm) = customer.work.judge(&outputs)?;
    Ok(Job {
        id: customer.job.clone(),
        customer: customer.work.customer,
        name: customer.work.name,
        runtime: customer.work.runtime(),
        tasks: job["tasks"]["total"].as_u64().unwrap_or_default(),
        completed: job["tasks"]["completed"].as_u64().unwrap_or_default(),
        spent: amount(&job["spent"])?,
        accuracy_ppm,
        says,
    })
}

fn load_customers(customers: &[Customer]) -> anyhow::Result<Customers> {
    let mut all = Customers::default();
    for customer in customers {
        for deposit in customer.client.list("/v1/deposits")? {
            all.deposited = all.deposited + amount(&deposit["amount"])?;
        }
        let wallet = customer.client.get("/v1/wallet")?;
        all.spent = all.spent + amount(&customer.load()?["spent"])?;
        all.held = all.held + amount(&wallet["held"])?;
        all.balance = all.balance + amount(&wallet["posted"])?;
    }
    Ok(all)
}

fn count_leases(customers: &[Customer]) -> anyhow::Result<BTreeMap<&'static str, usize>> {
    let mut counts: BTreeMap<_, _> =
        ["completed", "vacated", "lost", "failed", "other"].map(|name| (name, 0)).into();
    for customer in customers {
        for lease in customer.client.list(&format!("/v1/jobs/{}/leases", customer.job))? {
            let name = match lease["end_reason"].as_str() {
                Some("no_work" | "term") => "completed",
                Some("vacated") => "vacated",
                Some("lost") => "lost",
                Some("failed") => "failed",
                _ => "other",
            };
            *counts.entry(name).or_default() += 1;
        }
    }
    Ok(counts)
}

fn load_cells(finance: &Client) -> anyhow::Result<Vec<Value>> {
    let prices = finance.get("/v1/markets/us/prices")?;
    let cells = prices.as_array().context("prices")?.iter().map(|cell| {
        json!({
            "region": cell["region"],
            "class": cell["class"],
            "clearing_price": cell["clearing_price"],
        })
    });
    Ok(cells.collect())
}

fn sum(lines: &Value, account: &str, side: &str) -> anyhow::Result<Amount> {
    let lines = lines.as_array().context("lines")?;
    let own = lines.iter().filter(|line| line["account"] == account && line["asset"] == "USD");
    own.map(|line| amount(&line[side])).sum()
}

/// Every owner who has a cent asks for it; finance approves all at once. Answers what was paid.
fn pay_out(owners: &[Owner], finance: &Client, data: &Path) -> anyhow::Result<Amount> {
    let (mut payouts, mut paid) = (Vec::new(), Amount::ZERO);
    for (number, owner) in owners.iter().enumerate() {
        let cash = amount(&owner.client.get("/v1/earnings")?["cash"])?;
        if cash < Amount::CENT {
            continue;
        }
        let holder = format!("Example Owner {number}");
        let account = json!({ "holder": holder, "iban": "GB33BUKB20201555555555" });
        owner.client.put("/v1/payout-account", &account)?;
        let payout = owner.client.post("/v1/payouts", &json!({ "currency": "USD" }))?;
        paid = paid + amount(&payout["amount"])?;
        payouts.push(payout["id"].clone());
    }
    if !payouts.is_empty() {
        let run = finance.post("/v1/payouts/approve", &json!({ "payouts": payouts }))?;
        let file = run["bank_file"].as_str().context("a bank file")?;
        std::fs::write(data.join("payouts.xml"), finance.text(&format!("/v1/bank-files/{file}"))?)?;
    }
    Ok(paid)
}

/// The statement's closing balances are the owner's balances; the last owner's is kept.
fn statement_agrees(owner: &Owner, data: &Path) -> anyhow::Result<bool> {
    const PERIOD: &str = "/v1/statements?from=2020-01-01&to=2100-01-01&format";
    let statement = owner.client.get(&format!("{PERIOD}=json"))?;
    let earnings = owner.client.get("/v1/earnings")?;
    let closing = |asset: &str| -> anyhow::Result<Amount> {
        let sections = statement["sections"].as_array().context("sections")?;
        let section = sections.iter().find(|section| section["asset"] == asset);
        section.map_or(Ok(Amount::ZERO), |section| amount(&section["closing"]))
    };
    let agrees = closing("USD")? == amount(&earnings["cash"])?
        && closing("CREDIT")? == amount(&earnings["credits"])?;
    for (format, name) in [("html", "statement.html"), ("csv", "statement.csv")] {
        std::fs::write(data.join(name), owner.client.text(&format!("{PERIOD}={format}"))?)?;
    }
    Ok(agrees)
}
