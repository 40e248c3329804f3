//! A statement for people: one page, tables, no script.

use maud::{DOCTYPE, Markup, html};

use super::{Line, Section, Statement};

/// A whole HTML document. The same statement gives the same bytes.
pub fn render_html(statement: &Statement) -> String {
    let period = format!("{} to {}", statement.from.date(), statement.to.date());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Driveway statement, " (period) }
            }
            body {
                h1 { "Statement" }
                p { "Owner " (statement.owner) ", " (period) ", times in UTC." }
                @for section in &statement.sections { (section_html(section)) }
                @if !statement.unpaid.is_empty() { (unpaid_html(statement)) }
            }
        }
    }
    .into_string()
}

fn section_html(section: &Section) -> Markup {
    html! {
        h2 { (section.asset) }
        table {
            caption { "Opening balance " (section.opening) ", closing balance " (section.closing) }
            thead {
                tr {
                    @for head in ["Time", "What", "Id", "Car", "Seconds", "Price per hour", "Customer paid",
                                  "Fee", "Amount", "Balance"] {
                        th scope="col" { (head) }
                    }
                }
            }
            tbody { @for line in &section.lines { (line_html(line)) } }
        }
    }
}

fn line_html(line: &Line) -> Markup {
    html! {
        tr {
            td { (line.at) }
            td { (line.kind) }
            td { (line.subject) }
            @match &line.lease {
                Some(lease) => {
                    td { (lease.vehicle) " (" (lease.class) ", " (lease.region) ")" }
                    td { (lease.seconds) }
                    td { (lease.price) }
                    td { (lease.gross) }
                    td { (lease.fee) }
                }
                None => { td colspan="5" {} }
            }
            td { (line.amount) }
            td { (line.balance) }
        }
    }
}

fn unpaid_html(statement: &Statement) -> Markup {
    html! {
        h2 { "Leases that earned nothing" }
        table {
            thead {
                tr { th scope="col" { "Lease" } th scope="col" { "Car" } th scope="col" { "Why" } }
            }
            tbody {
                @for lease in &statement.unpaid {
                    tr { td { (lease.lease) } td { (lease.vehicle) } td { (lease.reason) } }
                }
            }
        }
    }
}
