//! Assets: currencies and credits, which are data.

use diesel::prelude::*;
use store::Tx;
use store::schema::asset;

use crate::{Error, Result};
use store::sets::Set;

/// Something that is counted in accounts of its own. It never changes once it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// 1 to 16 of `A`-`Z` and `0`-`9`, the first a letter: `USD`, `CREDIT`.
    pub code: String,
    /// Decimal places of its least amount, 0 to 6: amounts are micro-units, and of a currency with
    /// a scale of 2 multiples of 10,000 of them. What is priced by the second wants 6.
    pub scale: i32,
    /// For a credit: what it is redeemed in, and micro-units of that for one unit of it.
    pub redemption: Option<(String, i64)>,
}

/// Adds an asset, or finds that it is there.
///
/// # Errors
/// [`Error::BadAsset`], [`Error::BadRate`] for a redemption rate that is not over zero,
/// [`Error::UnknownAsset`] for what it is redeemed in, [`Error::AssetExists`] if there is another of
/// this code.
pub fn add_asset(tx: &mut Tx<'_>, new: &Asset) -> Result<()> {
    check(new)?;
    if let Some((redeemed_in, _)) = &new.redemption {
        load(tx, redeemed_in)?.ok_or_else(|| Error::UnknownAsset(redeemed_in.clone()))?;
    }
    let redemption = new.redemption.as_ref();
    Set::default()
        .texts("code", [&*new.code])
        .integers("scale", [new.scale].into_iter())
        .maybe_texts("redemption_asset", [redemption.map(|(asset, _)| &**asset)].into_iter())
        .maybe_numbers("redemption_ppm", [redemption.map(|(_, ppm)| *ppm)].into_iter())
        .insert(tx.conn, "asset", "ON CONFLICT (code) DO NOTHING")?;
    match load(tx, &new.code)? {
        Some(stored) if stored == *new => Ok(()),
        _ => Err(Error::AssetExists(new.code.clone())),
    }
}

fn check(new: &Asset) -> Result<()> {
    let letters = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    let code = new.code.as_bytes();
    let first = code.first().is_some_and(u8::is_ascii_uppercase);
    if !first || code.len() > 16 || !code.iter().copied().all(letters) {
        return Err(Error::BadAsset);
    }
    if !(0..=6).contains(&new.scale) {
        return Err(Error::BadAsset);
    }
    match new.redemption {
        Some((_, ppm)) if ppm <= 0 => Err(Error::BadRate),
        _ => Ok(()),
    }
}

fn load(tx: &mut Tx<'_>, code: &str) -> Result<Option<Asset>> {
    type Row = (String, i32, Option<String>, Option<i64>);
    let row: Option<Row> = asset::table
        .find(code)
        .select((asset::code, asset::scale, asset::redemption_asset, asset::redemption_ppm))
        .first(tx.conn)
        .optional()?;
    Ok(row.map(|(code, scale, redeemed_in, ppm)| Asset {
        code,
        scale,
        redemption: redeemed_in.zip(ppm),
    }))
}
