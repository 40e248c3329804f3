//! What a customer has.

use actix_web::{HttpResponse, get, web};
use diesel::prelude::*;
use ledger::Code as Account;
use serde::{Deserialize, Serialize};
use store::schema::asset;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Customer;
use crate::money::Money;
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(wallet);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WalletQuery {
    /// `USD` if not named.
    #[serde(default = "usd")]
    #[param(required = false, default = "USD")]
    currency: String,
}

fn usd() -> String {
    "USD".to_owned()
}

#[derive(Serialize, ToSchema)]
struct Wallet {
    /// What was paid in and not spent.
    posted: Money,
    /// What jobs hold back of it.
    held: Money,
    /// What a new job can use: posted less held.
    available: Money,
}

/// Your wallet
#[utoipa::path(tag = "money", security(("bearer" = [])), params(WalletQuery), responses(
    (status = 200, description = "The wallet in one currency.", body = Wallet),
    (status = 422, description = "`unknown_currency`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
#[get("/v1/wallet")]
async fn wallet(
    app: App,
    customer: Customer,
    query: web::Query<WalletQuery>,
) -> Result<HttpResponse> {
    let currency = query.into_inner().currency;
    let (party, asset) = (customer.party, currency.clone());
    let has = app
        .read(move |tx| {
            known(tx, &asset)?;
            Ok(ledger::party_balance(tx, Account::CustomerWallet, party, &asset)?)
        })
        .await?;
    let money = |amount| Money::new(amount, &currency);
    let (posted, held) = (money(has.posted), money(has.held));
    Ok(HttpResponse::Ok().json(Wallet { posted, held, available: money(has.available()) }))
}

fn known(tx: &mut store::Tx<'_>, code: &str) -> Result<()> {
    let found = asset::table.find(code).select(asset::code).first::<String>(tx.conn).optional()?;
    found.map(drop).ok_or_else(|| Problem::new(Code::UnknownCurrency))
}
