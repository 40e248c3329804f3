//! A statement for people: one page, tables, no script, nothing loaded. It reads without its style,
//! which a strict content security policy drops.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{LeaseDetail, Line, Section, Statement, UnpaidLease};

/// The page's one style element.
const STYLE: &str = "\
body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#111;background:#fff}\
table{border-collapse:collapse;margin:0 0 2em}caption{text-align:left;font-weight:bold}\
th,td{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}";

/// A whole HTML document. The same statement gives the same bytes.
pub fn render_html(statement: &Statement) -> String {
    let Statement { owner, owner_name, from, to, sections, unpaid } = statement;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Driveway statement, " (from.date()) " to " (to.date()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Statement" }
                p { @if let Some(name) = owner_name { (name) ", " } (owner) }
                p { "From " (from) " until before " (to) ". Times are in UTC." }
                @if sections.is_empty() { p { "Nothing was earned by then." } }
                @for section in sections { (section_html(section)) }
                @if !unpaid.is_empty() { (unpaid_html(unpaid)) }
            }
        }
    }
    .into_string()
}

const HEADS: [&str; 7] = ["Time", "What", "Car", "Started", "Ended", "Seconds", "Price per hour"];
const AMOUNTS: [&str; 5] = ["Customer paid", "Fee", "Bonus", "Amount", "Balance"];

fn section_html(section: &Section) -> Markup {
    html! {
        table {
            caption { (section.asset) }
            thead {
                tr {
                    @for head in HEADS { th scope="col" { (head) } }
                    @for head in AMOUNTS { th scope="col" class="n" { (head) } }
                }
            }
            tbody {
                tr { th scope="row" colspan="11" { "Opening balance" } td class="n" { (section.opening) } }
                @for line in &section.lines { (line_html(line)) }
                tr { th scope="row" colspan="11" { "Closing balance" } td class="n" { (section.closing) } }
            }
        }
    }
}

fn line_html(line: &Line) -> Markup {
    let what = match line.kind.as_str() {
        "settlement" => "Lease",
        "payout" => "Payout",
        other => other,
    };
    html! {
        tr {
            td { (line.at) }
            td { (what) " " (line.subject) }
            @match &line.lease {
                Some(lease) => (lease_html(lease)),
                None => td colspan="8" {},
            }
            td class="n" { (line.amount) }
            td class="n" { (line.balance) }
        }
    }
}

fn lease_html(lease: &LeaseDetail) -> Markup {
    html! {
        td { (lease.vehicle) " (" (lease.class) ", " (lease.region) ")" }
        td { @if let Some(at) = lease.started_at { (at) } }
        td { @if let Some(at) = lease.ended_at { (at) } }
        td { (lease.seconds) }
        td { (lease.price) " " (lease.asset) }
        td class="n" { (lease.gross) " " (lease.asset) }
        td class="n" { (lease.fee) " " (lease.asset) }
        td class="n" { (lease.bonus) " " (lease.asset) }
    }
}

fn unpaid_html(unpaid: &[UnpaidLease]) -> Markup {
    html! {
        table {
            caption { "Leases that earned nothing" }
            thead {
                tr {
                    @for head in ["Settled", "Lease", "Car", "Started", "Ended", "Why"] {
                        th scope="col" { (head) }
                    }
                }
            }
            tbody { @for lease in unpaid { (unpaid_row(lease)) } }
        }
    }
}

fn unpaid_row(lease: &UnpaidLease) -> Markup {
    html! {
        tr {
            td { @if let Some(at) = lease.settled_at { (at) } }
            td { (lease.lease) }
            td { (lease.vehicle) " (" (lease.class) ", " (lease.region) ")" }
            td { @if let Some(at) = lease.started_at { (at) } }
            td { @if let Some(at) = lease.ended_at { (at) } }
            td { (lease.reason) }
        }
    }
}
