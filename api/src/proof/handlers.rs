//! Proofs of balances and the keys to check them with.

use actix_web::{HttpResponse, get, web};
use diesel::prelude::*;
use ledger::Code as Account;
use ledger::proof::{Hash, PublicKey};
use serde::{Deserialize, Serialize};
use store::schema::asset;
use store::{PartyId, Tx};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::{App, AppState};
use crate::auth::{Customer, Owner};
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(wallet_proof).service(earnings_proof).service(ledger_keys);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WalletProofQuery {
    /// `USD` if not named.
    #[serde(default = "usd")]
    #[param(required = false, default = "USD")]
    currency: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EarningsProofQuery {
    /// `USD` if not named; `CREDIT` for credits.
    #[serde(default = "usd")]
    #[param(required = false, default = "USD")]
    asset: String,
}

fn usd() -> String {
    "USD".to_owned()
}

/// Proof of your wallet
///
/// A file that shows, to anybody and offline, that this balance was among what the platform signed
/// that it owed: save it and check it with `driveway ledger verify-proof FILE --key KEY`. It is of the
/// newest statement of what is owed, and shows sums of other accounts on its way to the root, but never
/// whose they are.
#[utoipa::path(tag = "money", security(("bearer" = [])), params(WalletProofQuery), responses(
    (status = 200, description = "The proof.", body = Object),
    (status = 404, description = "`no_proof`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = 422, description = "`unknown_currency`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
#[get("/v1/wallet/proof")]
async fn wallet_proof(
    app: App,
    customer: Customer,
    query: web::Query<WalletProofQuery>,
) -> Result<HttpResponse> {
    let currency = query.into_inner().currency;
    prove(&app, customer.party, currency, |_| Account::CustomerWallet).await
}

/// Proof of what you have earned
///
/// As the proof of a wallet, of cash that is not paid out yet or of credits.
#[utoipa::path(tag = "owners", security(("bearer" = [])), params(EarningsProofQuery), responses(
    (status = 200, description = "The proof.", body = Object),
    (status = 404, description = "`no_proof`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = 422, description = "`unknown_currency`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
#[get("/v1/earnings/proof")]
async fn earnings_proof(
    app: App,
    owner: Owner,
    query: web::Query<EarningsProofQuery>,
) -> Result<HttpResponse> {
    let code = |credit| if credit { Account::OwnerCredits } else { Account::OwnerCash };
    prove(&app, owner.party, query.into_inner().asset, code).await
}

/// `code` is told whether the asset is a credit.
async fn prove(
    app: &AppState,
    party: PartyId,
    asset: String,
    code: impl FnOnce(bool) -> Account + Send + 'static,
) -> Result<HttpResponse> {
    let store = app.store.clone();
    let proof = web::block(move || {
        let keys = super::public_keys(&store)?;
        store.read(|tx| {
            let code = code(is_credit(tx, &asset)?);
            match ledger::find_account(tx, code, party, &asset)? {
                Some(account) => Ok::<_, Problem>(ledger::proof::prove(tx, account, &keys)?),
                None => Ok(None),
            }
        })
    });
    let proof = proof.await??.ok_or_else(|| Problem::new(Code::NoProof))?;
    Ok(HttpResponse::Ok().json(proof))
}

fn is_credit(tx: &mut Tx<'_>, code: &str) -> Result<bool> {
    let redeemed: Option<Option<String>> =
        asset::table.find(code).select(asset::redemption_asset).first(tx.conn).optional()?;
    let redeemed = redeemed.ok_or_else(|| Problem::new(Code::UnknownCurrency))?;
    Ok(redeemed.is_some())
}

/// A key that signs blocks.
#[derive(Serialize, ToSchema)]
struct LedgerKey {
    /// What a block names it by.
    #[schema(example = "3f0c9d0b7e5a4c21")]
    id: String,
    /// Ed25519, in hexadecimal.
    #[schema(value_type = String)]
    public_key: PublicKey,
}

/// The end of the chain.
#[derive(Serialize, ToSchema)]
struct ChainHead {
    /// Number of the last block.
    block: i64,
    /// Its SHA-256, in hexadecimal.
    #[schema(value_type = String)]
    hash: Hash,
}

#[derive(Serialize, ToSchema)]
struct LedgerKeys {
    /// The newest first.
    keys: Vec<LedgerKey>,
    /// Write it down: a chain that does not have this block later is another.
    head: Option<ChainHead>,
}

/// Keys of the ledger
///
/// Whose signatures prove the books, and where the chain of signed blocks ends now.
#[utoipa::path(tag = "service", responses(
    (status = 200, description = "Public keys and the head of the chain.", body = LedgerKeys),
))]
#[get("/v1/ledger/keys")]
async fn ledger_keys(app: App) -> Result<HttpResponse> {
    let store = app.store.clone();
    let (keys, head) = web::block(move || {
        let keys = super::public_keys(&store)?;
        Ok::<_, Problem>((keys, store.read(ledger::proof::head)?))
    })
    .await??;
    let key = |public_key: PublicKey| LedgerKey { id: public_key.id(), public_key };
    let head = (head.number > 0).then_some(ChainHead { block: head.number, hash: head.hash });
    let keys = keys.into_iter().map(key).collect();
    Ok(HttpResponse::Ok().json(LedgerKeys { keys, head }))
}
