//! What an owner has earned, and by which leases.

use actix_web::{HttpResponse, get, web};
use ledger::Code as Account;
use serde::Serialize;
use store::LeaseId;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Owner;
use crate::job::Lease;
use crate::money::Money;
use crate::pagination::{Page, PageQuery};
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(earnings).service(leases);
}

#[derive(Serialize, ToSchema)]
struct Earnings {
    /// Not paid out yet.
    cash: Money,
    /// Of it, what a payout that waits for approval keeps back.
    cash_held: Money,
    credits: Money,
}

/// What you have earned
#[utoipa::path(tag = "owners", security(("bearer" = [])), responses(
    (status = 200, description = "Your balances.", body = Earnings),
))]
#[get("/v1/earnings")]
async fn earnings(app: App, owner: Owner) -> Result<HttpResponse> {
    let party = owner.party;
    let (cash, credits) = app
        .read(move |tx| {
            let cash = ledger::party_balance(tx, Account::OwnerCash, party, "USD")?;
            let credits = ledger::party_balance(tx, Account::OwnerCredits, party, "CREDIT")?;
            Ok((cash, credits))
        })
        .await?;
    Ok(HttpResponse::Ok().json(Earnings {
        cash: Money::new(cash.posted, "USD"),
        cash_held: Money::new(cash.held, "USD"),
        credits: Money::new(credits.posted, "CREDIT"),
    }))
}

/// The leases of your cars
///
/// Every one, unpaid ones with the reason.
#[utoipa::path(operation_id = "list_earning_leases", tag = "owners",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of leases.", body = Page<Lease>),
))]
#[get("/v1/earnings/leases")]
async fn leases(app: App, owner: Owner, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of::<LeaseId>()?;
    let party = owner.party;
    let rows = app
        .read(move |tx| Ok(scheduler::lease::of_owner(tx, party, page.after, page.rows())?))
        .await?;
    let leases: Vec<Lease> = rows.into_iter().map(Lease::from).collect();
    Ok(HttpResponse::Ok().json(page.page(leases, |lease| lease.id)))
}
