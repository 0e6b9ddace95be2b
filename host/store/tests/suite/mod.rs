//! The conformance suite: what every backend must do. A backend's test file makes a [`Database`] and calls `cases!`.

#![allow(dead_code, reason = "each backend's test file compiles this module for itself")]

pub mod apart;
pub mod attempts;
pub mod fixture;
pub mod host_jobs;
pub mod jobs;
pub mod keys;
pub mod looks;
pub mod notices;
pub mod payments;
pub mod rows;
pub mod transactions;
pub mod twins;
pub mod vault;
pub mod webhooks;

use std::pin::Pin;

use payhost_store::{MasterKey, Options, Store, Vault};

/// A database that can be opened again.
pub struct Database {
    pub options: Options,
    /// What must live as long as the database: a folder, a server.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

impl Database {
    pub fn open(&self) -> Store {
        Store::open(self.options.clone()).unwrap()
    }

    pub async fn open_with_vault(&self) -> (Store, Vault) {
        let store = self.open();
        let vault = Vault::open(&store, MasterKey::from_bytes([7; 32])).await.unwrap();
        (store, vault)
    }
}

/// A case on the heap. Made here, so that the frame of a test of all cases has no place for each.
pub fn boxed<F: Future>(case: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(case())
}

/// One test per case and backend: `cases!(database)`, where `database` is a function that answers a fresh [`Database`]. For another
/// way to the same backend all in one: `cases!(together, database)`.
#[macro_export]
macro_rules! cases {
    ($database:path) => {
        $crate::cases! { each, $database }
    };
    ($how:ident, $database:path) => {
        $crate::cases! { @ $how $database;
            transactions: what_was_acknowledged_is_there_after_reopening,
                a_failing_closure_does_not_disturb_its_neighbours,
                a_panic_rolls_back_its_own_closure_only,
                any_mix_of_closures_keeps_exactly_those_that_succeeded,
                an_error_that_is_swallowed_still_rolls_back,
                an_error_that_comes_late_is_told_and_nothing_is_kept,
                a_change_that_must_hit_one_row_is_refused_when_it_does_not,
                rows_that_were_asked_for_come_in_any_order,
                a_read_cannot_write,
                a_panic_in_a_read_is_an_error,
                a_closed_store_says_so,
                closing_finishes_what_was_handed_in,
                a_closure_runs_though_its_caller_went_away,
                text_holds_no_nul;
            payments: a_payment_reads_back_as_it_was_written,
                an_order_has_one_open_payment,
                an_order_is_free_again_when_its_payment_is_over,
                amounts_are_guarded_by_the_database,
                a_refund_may_be_known_before_its_approval_if_the_payment_is_marked,
                words_and_flags_outside_the_tables_are_refused_when_they_are_read,
                a_change_to_an_old_version_is_refused,
                another_shops_payment_is_not_there,
                lists_page_by_cursor_in_both_directions,
                lists_filter_by_order_and_state,
                an_order_ref_is_used_once,
                a_checkout_advances_only_from_the_expected_state,
                rows_cannot_point_into_another_shop,
                money_that_comes_late_is_kept_beside_a_new_payment_of_the_order,
                an_order_is_revised_only_while_nothing_was_opened,
                unresolved_payments_are_counted;
            attempts: a_cancel_is_refused_while_a_complete_is_open,
                two_tabs_cannot_complete_at_once,
                a_reload_finds_the_stored_attempt,
                what_stands_against_an_unopposed_attempt_ends_its_transaction,
                an_undo_is_possible_while_its_parent_is_in_doubt,
                a_complete_needs_a_checkout_and_an_undo_a_parent,
                an_attempt_that_was_taken_over_cannot_be_settled_by_its_maker,
                a_fact_is_recorded_once_with_its_ledger_lines,
                the_ledger_sums_to_zero_everywhere,
                a_line_that_its_fact_does_not_demand_is_refused,
                a_line_without_its_other_does_not_commit;
            jobs: a_job_is_claimed_when_due_and_by_one_only,
                a_lost_lease_lets_another_take_the_job_and_fences_the_first,
                a_job_enqueued_twice_is_due_at_the_earlier_time,
                a_job_enqueued_while_it_runs_runs_again,
                a_done_job_starts_anew_when_enqueued,
                a_job_put_off_keeps_its_error_and_its_tries,
                a_job_given_up_is_not_claimed,
                a_claim_takes_of_each_shop_so_many_of_its_earliest_jobs_and_of_its_own_lane,
                a_job_that_fell_due_just_now_is_seen_behind_a_flood,
                a_few_looks_see_every_shop_whatever_floods,
                the_next_due_time_is_known,
                a_rolled_back_enqueue_leaves_no_job,
                the_oldest_job_of_a_silent_gateway_is_known_and_all_wake_when_it_answers,
                a_job_is_taken_back_unless_it_runs_or_is_over,
                finished_jobs_are_thrown_away_in_batches;
            host_jobs: a_host_job_is_claimed_by_one_host_and_due_again_when_it_ended,
                a_host_that_died_at_a_job_is_replaced_when_its_time_is_over,
                host_jobs_stand_apart_from_each_other_and_from_those_of_shops,
                a_host_job_whose_claim_was_rolled_back_is_due;
            apart: rows_with_the_same_ids_are_kept_in_two_shops,
                an_id_is_used_once_in_its_shop,
                changes_to_payments_are_of_one_shop,
                changes_to_jobs_are_of_one_shop,
                changes_to_events_and_endpoints_are_of_one_shop,
                changes_to_notices_are_of_one_shop,
                changes_to_channels_and_keys_are_of_one_shop,
                what_is_counted_is_of_one_shop,
                grants_and_accounts_that_wait_are_those_of_one_shops_channel,
                what_is_thrown_away_row_by_row_is_one_shops_row_at_a_time,
                lists_over_shops_go_from_one_shops_row_to_the_others,
                what_is_looked_for_over_all_shops_finds_each;
            looks: payments_are_read_of_one_shop,
                what_shops_set_and_are_told_is_read_of_one_shop;
            notices: messages_that_name_no_order_are_counted_with_their_bytes_and_others_by_their_payment,
                what_named_no_order_goes_and_what_named_one_loses_only_its_message,
                what_strangers_said_goes_after_a_time_and_waits_as_one_entry_for_each_payment;
            keys: a_key_is_found_by_its_hash_until_it_is_revoked,
                an_operators_key_is_no_shops_key,
                a_shops_key_has_a_shop_and_a_mode,
                a_key_whose_row_was_edited_is_not_bound_to_it,
                an_operators_key_whose_row_was_edited_is_not_bound_to_it;
            rows: an_idempotency_key_belongs_to_one_request,
                an_expired_idempotency_key_is_free,
                a_component_never_changes_and_a_plugin_moves_between_versions,
                a_grant_is_of_a_kind_and_for_the_uses_that_were_seen,
                a_secrets_version_rises_with_every_change,
                a_revision_keeps_what_a_channel_was_set_to,
                a_retired_secret_is_kept_while_a_payment_may_need_it,
                the_default_channel_is_found_by_purpose,
                a_removed_channel_is_no_default_and_keeps_its_secrets_while_a_sale_needs_them,
                a_removed_plugin_keeps_its_hosts_for_old_sales_alone,
                what_needs_a_channel_is_counted_apart_from_the_shops_other_channels,
                a_journal_record_is_forgotten_after_its_time,
                events_of_a_payment_are_numbered_once,
                the_gateway_map_is_replaced_and_removed;
            webhooks: an_event_is_handed_on_once_and_only_where_somebody_listens,
                an_endpoint_is_claimed_when_due_and_by_one_only,
                a_lost_lease_lets_another_take_the_endpoint_and_fences_the_first,
                a_delivery_that_comes_during_a_turn_is_not_forgotten_at_its_end,
                endpoints_that_fail_or_are_slow_stand_in_a_queue_of_their_own,
                endpoints_are_claimed_by_shop_and_one_with_more_to_send_goes_to_the_end,
                events_are_handed_on_by_shop_whatever_one_has,
                endpoints_that_were_switched_off_are_counted_and_listed_until_somebody_acts,
                an_endpoint_that_is_switched_off_is_never_due,
                a_shop_has_one_endpoint_without_address_in_a_mode,
                a_try_is_written_once_and_over_the_one_before,
                a_removed_endpoint_is_not_there_and_leaves_nothing;
            vault: a_sealed_value_opens_only_in_its_place,
                a_flipped_bit_refuses_to_open,
                a_wrong_master_key_is_told_at_the_start,
                the_same_master_key_opens_after_a_restart,
                another_shops_key_row_does_not_unwrap,
                api_key_hashes_depend_on_the_master_key;
        }
    };
    (@ together $database:path; $($module:ident: $($case:ident),+;)+) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_whole_suite() {
            $($(
                eprintln!("{}: {}", stringify!($module), stringify!($case));
                $crate::suite::boxed(|| async { $crate::suite::$module::$case(&$database()).await }).await;
            )+)+
        }
    };
    (@ each $database:path; $($module:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::suite::$module::$case(&$database()).await;
            }
        )+)+
    };
}
