//! The book: the chart, accounts and their entries, finding and explaining transactions.

mod act;
pub mod as_of;
pub mod model;

use actix_web::{HttpResponse, get, web};
use ledger::report::{self, HistoryPage, Order, Search};
use serde::Deserialize;
use store::{AccountId, Timestamp, TransactionId};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::{AnyUser, Books};
use crate::identity::model::Role;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, Result};
use as_of::AsOfQuery;
use model::{Account, ChartNode, Entry, Explanation, Transaction};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(chart).service(account).service(entries).service(transactions).service(explain);
    act::configure(routes);
}

fn bad_query(detail: &str) -> Problem {
    Problem::new(Code::InvalidQuery).detail(detail)
}

/// An account in a path that is not there.
fn not_found(error: ledger::Error) -> Problem {
    match error {
        ledger::Error::UnknownAccount(_) => Problem::new(Code::NotFound),
        other => other.into(),
    }
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>> {
    let read = |text| Timestamp::parse(text).ok_or_else(|| bad_query("a time is RFC 3339"));
    text.map(read).transpose()
}

/// The chart of accounts
///
/// As a tree, parents before children, with what each place and all below it has.
#[utoipa::path(operation_id = "show_chart", tag = "finance", security(("bearer" = [])),
    params(AsOfQuery), responses(
    (status = 200, description = "Every place that has accounts.", body = Vec<ChartNode>),
))]
#[get("/v1/ledger/accounts")]
async fn chart(app: App, _books: Books, query: web::Query<AsOfQuery>) -> Result<HttpResponse> {
    let as_of = query.read()?;
    let nodes = app.read(move |tx| Ok(report::tree(tx, as_of)?)).await?;
    Ok(HttpResponse::Ok().json(nodes.into_iter().map(ChartNode::from).collect::<Vec<_>>()))
}

/// An account
///
/// And what it has, or had.
#[utoipa::path(operation_id = "show_account", tag = "finance", security(("bearer" = [])),
    params(("id" = String, Path, description = "The account."), AsOfQuery), responses(
    (status = 200, description = "Its balance, in its own direction.", body = Account),
))]
#[get("/v1/ledger/accounts/{id}")]
async fn account(
    app: App,
    _books: Books,
    id: web::Path<AccountId>,
    query: web::Query<AsOfQuery>,
) -> Result<HttpResponse> {
    let as_of = query.read()?;
    let row = app.read(move |tx| report::account_as_of(tx, *id, as_of).map_err(not_found)).await?;
    Ok(HttpResponse::Ok().json(Account::new(row, as_of)))
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    #[default]
    OldestFirst,
    NewestFirst,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// Posted at this time or later, RFC 3339 or a date.
    from: Option<String>,
    /// Posted before this time.
    to: Option<String>,
    #[serde(default)]
    #[param(required = false, inline)]
    order: Direction,
    /// Rows of a page, 1 to 100; 20 if not named.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before, of the same direction.
    cursor: Option<String>,
}

/// An account's entries
///
/// With its running balance, in either direction.
#[utoipa::path(operation_id = "list_account_entries", tag = "finance", security(("bearer" = [])),
    params(("id" = String, Path, description = "The account."), EntriesQuery), responses(
    (status = 200, description = "A page of entries.", body = Page<Entry>),
))]
#[get("/v1/ledger/accounts/{id}/entries")]
async fn entries(
    app: App,
    _books: Books,
    id: web::Path<AccountId>,
    query: web::Query<EntriesQuery>,
) -> Result<HttpResponse> {
    let EntriesQuery { from, to, order, limit, cursor } = query.into_inner();
    let page = PageQuery { limit, cursor }.of::<i64>()?;
    let part = HistoryPage {
        from: moment(from.as_deref())?,
        to: moment(to.as_deref())?,
        order: match order {
            Direction::OldestFirst => Order::OldestFirst,
            Direction::NewestFirst => Order::NewestFirst,
        },
        after: page.after,
        limit: page.limit() + 1,
    };
    let rows = app.read(move |tx| report::history(tx, *id, &part).map_err(not_found)).await?;
    let rows = rows.into_iter().map(Entry::from).collect();
    Ok(HttpResponse::Ok().json(page.page(rows, |entry| entry.number)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// What it is about, or its key.
    subject: Option<String>,
    /// A name and its value, `name=value`.
    metadata: Option<String>,
    /// What kind of business, such as `settlement`.
    kind: Option<String>,
    /// Posted at this time or later, RFC 3339 or a date.
    from: Option<String>,
    /// Posted before this time.
    to: Option<String>,
    /// Rows of a page, 1 to 100; 20 if not named.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl SearchQuery {
    fn read(&self) -> Result<Search> {
        let pair = |text: &str| {
            let pair =
                text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| bad_query("`metadata` is `name=value`"))
        };
        let kind = |text: &str| {
            ledger::Kind::parse(text).ok_or_else(|| bad_query("there is no such `kind`"))
        };
        Ok(Search {
            subject: self.subject.clone(),
            metadata: self.metadata.as_deref().map(pair).transpose()?,
            kind: self.kind.as_deref().map(kind).transpose()?,
            from: moment(self.from.as_deref())?,
            to: moment(self.to.as_deref())?,
        })
    }
}

/// Find transactions
///
/// In the order in which they were posted. While `has_more`, a page can be short or empty: it looks
/// at a bounded number of transactions.
#[utoipa::path(operation_id = "search_transactions", tag = "finance", security(("bearer" = [])),
    params(SearchQuery), responses(
    (status = 200, description = "A page of those that fit all that is named.",
        body = Page<Transaction>),
))]
#[get("/v1/ledger/transactions")]
async fn transactions(
    app: App,
    _books: Books,
    query: web::Query<SearchQuery>,
) -> Result<HttpResponse> {
    let search = query.read()?;
    let SearchQuery { limit, cursor, .. } = query.into_inner();
    let page = PageQuery { limit, cursor }.of::<TransactionId>()?;
    let (after, limit) = (page.after, page.limit());
    let found = app.read(move |tx| Ok(report::transactions(tx, &search, after, limit)?)).await?;
    let rows: Vec<Transaction> = found.lines.into_iter().map(Transaction::from).collect();
    Ok(HttpResponse::Ok().json(page.until(rows, found.next)))
}

/// Explain a transaction
///
/// Its legs, what it refers to, and every amount that was computed, computed again. Customers and
/// owners may ask for those that touched an account of theirs.
#[utoipa::path(operation_id = "explain_transaction", tag = "money", security(("bearer" = [])),
    params(("id" = String, Path, description = "The transaction.")), responses(
    (status = 200, description = "Why it moved what it moved.", body = Explanation),
))]
#[get("/v1/ledger/transactions/{id}")]
async fn explain(app: App, user: AnyUser, id: web::Path<TransactionId>) -> Result<HttpResponse> {
    let found = app.read(move |tx| Ok(ledger::explain::explain(tx, *id)?)).await?;
    let viewer = match user.role {
        Role::Finance | Role::Operator => None,
        Role::Customer | Role::Owner => Some(user.party),
    };
    let found = found.filter(|found| viewer.is_none_or(|party| found.touches(party)));
    let found = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(Explanation::new(found, viewer)))
}
