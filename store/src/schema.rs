//! The tables as Diesel sees them; `migrations/` is the truth, and a test compares the two.

table! {
    car_hour (vehicle_id, hour) {
        vehicle_id -> Binary,
        hour -> Integer,
        watched -> BigInt,
        interrupted -> BigInt,
        day -> BigInt,
    }
}

table! {
    region_hour (region_id, hour) {
        region_id -> Text,
        hour -> Integer,
        watched -> BigInt,
        interrupted -> BigInt,
        day -> BigInt,
    }
}

table! {
    car_program (vehicle_id) {
        vehicle_id -> Binary,
        programs -> Text,
    }
}

table! {
    job_pace (job_id) {
        job_id -> Binary,
        attempts -> BigInt,
        busy_us -> BigInt,
    }
}

use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    asset (code) {
        code -> Text,
        scale -> Integer,
        redemption_asset -> Nullable<Text>,
        redemption_ppm -> Nullable<BigInt>,
    }
}

table! {
    account (id) {
        id -> Binary,
        code -> Text,
        party_id -> Binary,
        asset -> Text,
        side -> Text,
        may_overdraw -> Bool,
        created_at -> BigInt,
    }
}

table! {
    balance (account_id) {
        account_id -> Binary,
        posted -> BigInt,
        held -> BigInt,
        entries -> BigInt,
        last_posted_at -> BigInt,
    }
}

table! {
    ledger_transaction (id) {
        id -> Binary,
        key -> Text,
        fingerprint -> Binary,
        kind -> Text,
        subject -> Text,
        posted_at -> BigInt,
        effective_at -> BigInt,
        booked_on -> Integer,
        relation -> Nullable<Text>,
        refers_to -> Nullable<Binary>,
    }
}

table! {
    entry (transaction_id, line) {
        transaction_id -> Binary,
        line -> Integer,
        account_id -> Binary,
        amount -> BigInt,
        number -> BigInt,
        balance_after -> BigInt,
    }
}

table! {
    hold (id) {
        id -> Binary,
        key -> Text,
        fingerprint -> Binary,
        account_id -> Binary,
        amount -> BigInt,
        captured -> BigInt,
        released -> BigInt,
        open -> Bool,
        subject -> Text,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        ended_at -> Nullable<BigInt>,
    }
}

table! {
    hold_event (id) {
        hold_id -> Binary,
        number -> Integer,
        kind -> Text,
        amount -> BigInt,
        transaction_id -> Nullable<Binary>,
        at -> BigInt,
        id -> Binary,
    }
}

table! {
    transaction_metadata (transaction_id, name) {
        transaction_id -> Binary,
        name -> Text,
        value -> Text,
    }
}

table! {
    settlement_record (transaction_id) {
        transaction_id -> Binary,
        lease_id -> Binary,
        seconds -> BigInt,
        price -> BigInt,
        fee_ppm -> BigInt,
        bonus_ppm -> Nullable<BigInt>,
        redemption_ppm -> Nullable<BigInt>,
    }
}

table! {
    conversion_record (transaction_id) {
        transaction_id -> Binary,
        sold_asset -> Text,
        sold -> BigInt,
        bought_asset -> Text,
        bought -> BigInt,
        rate_ppm -> BigInt,
    }
}

table! {
    approval (id) {
        id -> Binary,
        kind -> Text,
        body -> Text,
        reason -> Text,
        state -> Text,
        proposed_by -> Binary,
        proposed_at -> BigInt,
        decided_by -> Nullable<Binary>,
        decided_at -> Nullable<BigInt>,
        rejection -> Nullable<Text>,
        result -> Nullable<Text>,
    }
}

table! {
    finance_limit (name, asset, from_at) {
        name -> Text,
        asset -> Text,
        from_at -> BigInt,
        amount -> BigInt,
        approval_id -> Nullable<Binary>,
    }
}

table! {
    period (month) {
        month -> Integer,
        state -> Text,
    }
}

table! {
    period_event (id) {
        id -> Binary,
        month -> Integer,
        kind -> Text,
        by_id -> Binary,
        reason -> Text,
        at -> BigInt,
    }
}

table! {
    block (number) {
        number -> BigInt,
        previous -> Binary,
        records -> Binary,
        liabilities -> Nullable<Binary>,
        sealed_at -> BigInt,
        hash -> Binary,
        key_id -> Text,
        signature -> Binary,
    }
}

table! {
    block_head (id) {
        id -> Text,
        number -> BigInt,
        watermark -> BigInt,
    }
}

table! {
    block_span (kind, moment, block) {
        kind -> Integer,
        moment -> Binary,
        block -> BigInt,
        records -> BigInt,
    }
}

table! {
    liability_root (block, asset) {
        block -> BigInt,
        asset -> Text,
        accounts -> BigInt,
        total -> BigInt,
        root -> Binary,
    }
}

table! {
    liability_page (block, asset, page) {
        block -> BigInt,
        asset -> Text,
        page -> Integer,
        first_id -> Binary,
        last_id -> Binary,
        leaves -> Binary,
        total -> BigInt,
        hash -> Binary,
    }
}

table! {
    day_balance (account_id, day) {
        account_id -> Binary,
        day -> Integer,
        net -> BigInt,
        upto -> BigInt,
    }
}

table! {
    party (id) {
        id -> Binary,
        role -> Text,
        created_at -> BigInt,
    }
}

table! {
    party_profile (party_id) {
        party_id -> Binary,
        email -> Text,
        name -> Text,
        password_hash -> Text,
    }
}

table! {
    payout_account (party_id) {
        party_id -> Binary,
        holder -> Text,
        iban -> Text,
        updated_at -> BigInt,
    }
}

table! {
    signing_key (id) {
        id -> Text,
        private -> Binary,
        created_at -> BigInt,
    }
}

table! {
    blob (digest, party_id) {
        digest -> Text,
        party_id -> Binary,
        size -> BigInt,
        created_at -> BigInt,
    }
}

table! {
    deposit (id) {
        id -> Binary,
        customer_id -> Binary,
        asset -> Text,
        amount -> BigInt,
        source -> Text,
        reference -> Text,
        state -> Text,
        transaction_id -> Nullable<Binary>,
        confirmed_by -> Nullable<Binary>,
        created_at -> BigInt,
        confirmed_at -> Nullable<BigInt>,
    }
}

table! {
    bank_file (id) {
        id -> Binary,
        content -> Text,
        created_at -> BigInt,
    }
}

table! {
    payout (id) {
        id -> Binary,
        owner_id -> Binary,
        asset -> Text,
        amount -> BigInt,
        state -> Text,
        hold_id -> Binary,
        transaction_id -> Nullable<Binary>,
        bank_file_id -> Nullable<Binary>,
        approved_by -> Nullable<Binary>,
        requested_at -> BigInt,
        approved_at -> Nullable<BigInt>,
    }
}

table! {
    idempotency (party_id, key) {
        party_id -> Binary,
        key -> Text,
        fingerprint -> Binary,
        status -> Integer,
        body -> Text,
        created_at -> BigInt,
    }
}

table! {
    outbox (id) {
        id -> Binary,
        party_id -> Binary,
        template -> Text,
        payload -> Text,
        state -> Text,
        attempts -> Integer,
        next_at -> BigInt,
        last_error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

table! {
    market (id) {
        id -> Text,
        asset -> Text,
        grid -> BigInt,
        leader -> Nullable<Binary>,
        leader_until -> BigInt,
        fence -> BigInt,
        tick -> BigInt,
    }
}

table! {
    region (id) {
        id -> Text,
        market_id -> Text,
        jurisdiction -> Text,
        utc_offset_min -> Integer,
    }
}

table! {
    hardware_class (id) {
        id -> Text,
        tops -> Integer,
        memory_mb -> Integer,
        watts -> Integer,
        speed_ppm -> Integer,
        source -> Text,
    }
}

table! {
    vehicle (id) {
        id -> Binary,
        owner_id -> Binary,
        region_id -> Text,
        class_id -> Text,
        reserve -> BigInt,
        soc_floor -> Integer,
        plugged_only -> Bool,
        pay_in -> Text,
        token_hash -> Binary,
        active -> Bool,
        created_at -> BigInt,
        available_until -> Nullable<BigInt>,
        rules -> Text,
        chemistry -> Nullable<Text>,
        battery_wh -> Nullable<Integer>,
        paused_at -> Nullable<BigInt>,
        leaving -> Nullable<Text>,
        left_at -> Nullable<BigInt>,
    }
}

table! {
    consent (id) {
        id -> Binary,
        vehicle_id -> Binary,
        purpose -> Text,
        data_class -> Text,
        text_version -> Text,
        given_at -> BigInt,
        withdrawn_at -> Nullable<BigInt>,
        law -> Text,
        device -> Nullable<Text>,
        hours -> Nullable<Text>,
        withdrawn_by -> Nullable<Text>,
    }
}

table! {
    presence (vehicle_id) {
        vehicle_id -> Binary,
        seen_at -> BigInt,
        eligible -> Bool,
        reason -> Text,
        telemetry -> Text,
        clear_since -> Nullable<BigInt>,
        until -> Nullable<BigInt>,
    }
}

table! {
    job (id) {
        id -> Binary,
        customer_id -> Binary,
        market_id -> Text,
        name -> Text,
        runtime -> Text,
        program -> Text,
        purpose -> Text,
        data_class -> Text,
        state -> Text,
        hold_id -> Binary,
        tasks -> Integer,
        tasks_completed -> Integer,
        tasks_failed -> Integer,
        created_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        priority -> Integer,
        program_retries -> Integer,
        early_stop -> Integer,
        program_failed -> Integer,
        staged -> Bool,
        pause -> Nullable<Text>,
        banned -> Bool,
        reason -> Nullable<Text>,
        assurance -> Text,
    }
}

table! {
    job_stage (job_id, number) {
        job_id -> Binary,
        number -> Integer,
        name -> Text,
        runtime -> Text,
        program -> Text,
        source -> Text,
        template -> Nullable<Text>,
        rows_digest -> Nullable<Text>,
        from_stage -> Nullable<Integer>,
        gather -> Nullable<Text>,
        per_task -> Nullable<Integer>,
        allow_failed -> Bool,
        first -> Integer,
        tasks -> Integer,
        made -> Integer,
        made_bytes -> BigInt,
        completed -> Integer,
        failed -> Integer,
        program_failed -> Integer,
    }
}

table! {
    small_blob (digest) {
        digest -> Text,
        content -> Binary,
        created_at -> BigInt,
    }
}

table! {
    ban (kind, subject, banned_at) {
        kind -> Text,
        subject -> Text,
        banned_at -> BigInt,
        banned_by -> Binary,
        reason -> Text,
        until -> Nullable<BigInt>,
        lifted_at -> Nullable<BigInt>,
        lifted_by -> Nullable<Binary>,
    }
}

table! {
    program_check (digest, runtime) {
        digest -> Text,
        runtime -> Text,
        admitted -> Bool,
        message -> Text,
        checked_at -> BigInt,
    }
}

table! {
    bid (id) {
        id -> Binary,
        job_id -> Binary,
        price -> BigInt,
        lanes -> Integer,
        budget -> BigInt,
        regions -> Text,
        classes -> Text,
        deadline -> Nullable<BigInt>,
        placed_at -> BigInt,
        min_fill -> Integer,
        short_leases -> Bool,
        expires_at -> Nullable<BigInt>,
    }
}

table! {
    task (id) {
        id -> Binary,
        job_id -> Binary,
        number -> Integer,
        input -> Text,
        state -> Text,
        resume_attempt -> Nullable<Binary>,
        checkpoint -> Nullable<Text>,
        output -> Nullable<Text>,
        car_failures -> Integer,
        program_failures -> Integer,
        last_error -> Nullable<Text>,
        done -> Nullable<Integer>,
        wanted -> Integer,
        agreed -> Integer,
        class_id -> Nullable<Text>,
        verify_by -> Nullable<BigInt>,
    }
}

table! {
    clearing (id) {
        id -> Binary,
        market_id -> Text,
        tick -> BigInt,
        fence -> BigInt,
        at -> BigInt,
        unplaced -> Integer,
        record -> Nullable<Binary>,
        bids -> BigInt,
        wanted -> BigInt,
        offered -> BigInt,
        sold -> BigInt,
        welfare -> BigInt,
        bound -> BigInt,
        payments -> BigInt,
        owner_surplus -> BigInt,
        spread -> BigInt,
    }
}

table! {
    clearing_record (digest) {
        digest -> Binary,
        content -> Binary,
    }
}

table! {
    unplaced_fill (clearing_id, line) {
        clearing_id -> Binary,
        line -> Integer,
        bid_id -> Binary,
        region_id -> Text,
        class_id -> Text,
        lanes -> Integer,
        reason -> Text,
    }
}

table! {
    cell_price (market_id, region_id, class_id, permits, stay, tick) {
        market_id -> Text,
        region_id -> Text,
        class_id -> Text,
        permits -> Integer,
        stay -> Text,
        tick -> BigInt,
        at -> BigInt,
        price -> BigInt,
        low -> BigInt,
        high -> BigInt,
        lanes -> BigInt,
        offered -> BigInt,
    }
}

table! {
    availability (market_id, region_id, class_id, hour) {
        market_id -> Text,
        region_id -> Text,
        class_id -> Text,
        hour -> BigInt,
        ticks -> BigInt,
        idle -> BigInt,
        leased -> BigInt,
        fewest -> BigInt,
        most -> BigInt,
    }
}

table! {
    region_halt (region_id, halted_at) {
        region_id -> Text,
        halted_at -> BigInt,
        halted_by -> Binary,
        reason -> Text,
        lifted_at -> Nullable<BigInt>,
        lifted_by -> Nullable<Binary>,
    }
}

table! {
    fee_rate (market_id, from_at) {
        market_id -> Text,
        from_at -> BigInt,
        fee_ppm -> Integer,
        bonus_ppm -> Integer,
        set_by -> Nullable<Binary>,
        set_at -> BigInt,
    }
}

table! {
    lease (id) {
        id -> Binary,
        market_id -> Text,
        clearing_id -> Binary,
        job_id -> Binary,
        vehicle_id -> Binary,
        price -> BigInt,
        fee_ppm -> Integer,
        bonus_ppm -> Integer,
        term_s -> Integer,
        earmark -> BigInt,
        state -> Text,
        seen_at -> BigInt,
        offered_at -> BigInt,
        started_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        end_reason -> Nullable<Text>,
        settled_at -> Nullable<BigInt>,
        billed_s -> Nullable<Integer>,
        amount -> Nullable<BigInt>,
        transaction_id -> Nullable<Binary>,
        attempt_id -> Nullable<Binary>,
        due_at -> BigInt,
        paid -> Integer,
        paid_us -> BigInt,
        pending -> Integer,
        pending_us -> BigInt,
        evicted -> Nullable<Text>,
    }
}

table! {
    attempt (id) {
        id -> Binary,
        lease_id -> Binary,
        task_id -> Binary,
        state -> Text,
        verdict -> Text,
        resumed -> Nullable<Binary>,
        reason -> Text,
        started_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        metered_us -> BigInt,
        billable_us -> BigInt,
    }
}

table! {
    attempt_report (attempt_id) {
        attempt_id -> Binary,
        fuel -> BigInt,
        cpu_us -> BigInt,
        peak_memory_bytes -> BigInt,
        log -> Text,
        metrics -> Text,
    }
}

table! {
    claim (attempt_id) {
        attempt_id -> Binary,
        task_id -> Binary,
        vehicle_id -> Binary,
        owner_id -> Binary,
        class_id -> Text,
        output -> Text,
        state -> Text,
        expected -> Nullable<Text>,
        agreeing -> Nullable<Integer>,
        claimed_at -> BigInt,
        decided_at -> Nullable<BigInt>,
    }
}

table! {
    reputation (vehicle_id) {
        vehicle_id -> Binary,
        right_count -> BigInt,
        dissent -> BigInt,
        failed -> BigInt,
        lost -> BigInt,
        recent -> Integer,
        clean -> Integer,
        rests -> Integer,
        resting_until -> Nullable<BigInt>,
        rest_reason -> Nullable<Text>,
        changed_at -> BigInt,
    }
}

table! {
    vehicle_key (vehicle_id) {
        vehicle_id -> Binary,
        code_hash -> Nullable<Binary>,
        code_expires_at -> Nullable<BigInt>,
        public_key -> Nullable<Binary>,
        key_id -> Nullable<Binary>,
        enrolled_at -> Nullable<BigInt>,
    }
}

table! {
    vehicle_assertion (key_id, jti) {
        key_id -> Binary,
        jti -> Text,
        expires_at -> BigInt,
    }
}

table! {
    data_key (number) {
        number -> Integer,
        secret -> Binary,
        created_at -> BigInt,
    }
}

table! {
    vehicle_vin (vehicle_id) {
        vehicle_id -> Binary,
        digest -> Binary,
        sealed -> Binary,
        masked -> Text,
    }
}

table! {
    vehicle_tariff (vehicle_id) {
        vehicle_id -> Binary,
        tariff -> Text,
        margin -> BigInt,
        own_reserve -> BigInt,
        computed_at -> BigInt,
    }
}

table! {
    vehicle_code (code_hash) {
        code_hash -> Binary,
        vehicle_id -> Binary,
        kind -> Text,
        expires_at -> BigInt,
    }
}

table! {
    vehicle_driver (vehicle_id, party_id) {
        vehicle_id -> Binary,
        party_id -> Binary,
        since -> BigInt,
    }
}

table! {
    personal_request (id) {
        id -> Binary,
        party_id -> Binary,
        kind -> Text,
        state -> Text,
        asked_at -> BigInt,
        done_at -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        sealed -> Nullable<Binary>,
    }
}

table! {
    audit_event (id) {
        id -> Binary,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        subject -> Text,
        state_before -> Nullable<Text>,
        state_after -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

table! {
    audit_origin (event_id) {
        event_id -> Binary,
        address -> Text,
    }
}

allow_tables_to_appear_in_same_query!(
    account,
    approval,
    asset,
    attempt,
    attempt_report,
    audit_event,
    audit_origin,
    availability,
    balance,
    ban,
    bank_file,
    bid,
    blob,
    block,
    block_head,
    block_span,
    car_hour,
    car_program,
    cell_price,
    claim,
    clearing,
    clearing_record,
    consent,
    conversion_record,
    data_key,
    day_balance,
    deposit,
    entry,
    fee_rate,
    finance_limit,
    hardware_class,
    hold,
    hold_event,
    idempotency,
    job,
    job_pace,
    job_stage,
    lease,
    ledger_transaction,
    liability_page,
    liability_root,
    market,
    outbox,
    party,
    party_profile,
    payout,
    payout_account,
    period,
    period_event,
    personal_request,
    presence,
    program_check,
    region,
    region_halt,
    region_hour,
    reputation,
    settlement_record,
    signing_key,
    small_blob,
    task,
    transaction_metadata,
    unplaced_fill,
    vehicle,
    vehicle_assertion,
    vehicle_code,
    vehicle_driver,
    vehicle_key,
    vehicle_tariff,
    vehicle_vin,
);
