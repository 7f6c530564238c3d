//! The list of all clauses, and what is made of it.

use tandem::port::Store;

use crate::setting::{Mailbox, Safe, Setting};

/// Gives the clauses of a kind of port to another macro, after what it is given first.
#[doc(hidden)]
#[macro_export]
macro_rules! __clauses {
    (store => $($then:ident)::+!($($first:tt)*)) => { $($then)::+! { $($first)*
        connections: [
            a_connection_comes_back_as_it_was_stored,
            a_connection_is_created_once,
            a_stale_connection_is_refused,
            every_connection_is_listed_once_and_by_id,
            the_longest_due_come_first_and_only_enabled_ones,
            a_due_connection_can_be_claimed_by_one,
            settings_begin_with_the_default_ones,
            settings_are_saved_over_the_current_version_only,
            the_settings_history_is_newest_first,
            a_token_that_nobody_gave_is_refused,
        ]
        coordination: [
            a_cursor_moves_from_where_it_stands,
            what_zoho_does_not_show_is_kept_by_object,
            the_preflight_of_the_latest_settings_is_kept,
            a_cursor_is_moved_by_one,
            a_lease_has_one_holder_until_it_runs_out,
            a_lease_is_given_back_by_its_holder_only,
            a_lease_is_taken_by_one,
            a_run_goes_from_version_to_version,
            runs_are_listed_newest_first,
            slices_are_in_the_order_of_their_keys,
            planning_again_loses_no_progress,
            of_two_reports_of_a_slice_one_counts,
            an_oauth_state_is_taken_by_one,
            credits_add_up_over_buckets,
            credits_are_kept_by_hour_and_by_who_spent_them,
            zohos_latest_word_in_an_hour_stays,
            buckets_are_in_the_order_of_time_at_any_digit_count,
        ]
        ledger: [
            a_link_comes_back_as_it_was_stored,
            any_number_of_links_is_stored_and_found,
            a_link_named_twice_is_one,
            a_link_is_stored_only_over_the_one_that_was_read,
            a_link_is_removed_only_as_it_was_read,
            a_range_of_links_is_walked_once_in_the_order_of_numbers,
            many_links_are_walked_by_pages,
            links_of_two_connections_or_objects_never_mix,
            candidates_are_walked_in_the_order_of_numbers,
            a_candidate_takes_the_place_of_the_one_before,
            any_number_of_candidates_is_stored_and_removed,
            records_that_wait_are_walked_by_id_and_noted_once,
            any_number_of_records_waits,
        ]
        records: [
            a_record_comes_back_as_it_was_stored,
            a_record_can_hold_big_texts,
            a_record_that_is_too_large_is_refused_for_good,
            a_record_goes_from_version_to_version,
            any_number_of_records_is_found,
            records_are_listed_once_and_by_id,
            what_changed_since_comes_oldest_change_first,
            changes_of_one_instant_are_all_listed,
            an_account_has_its_records,
            pending_edits_come_oldest_first,
            parked_edits_come_latest_first,
            records_of_two_connections_or_objects_never_mix,
        ]
        journal: [
            a_line_comes_back_as_it_was_written,
            a_line_written_twice_is_one,
            any_number_of_lines_is_written,
            lines_of_one_instant_are_in_the_order_of_their_ids,
            a_span_of_time_begins_inclusive_and_ends_exclusive,
            each_filter_picks_its_lines,
            lines_of_two_connections_never_mix,
        ]
        calculations: [
            a_mark_comes_back_as_it_was_made,
            marks_are_walked_by_day_and_account,
            any_number_of_marks_is_made_and_cleared,
            a_mark_made_anew_is_not_cleared_with_the_one_before,
            marks_of_two_connections_never_mix,
            what_was_calculated_with_is_noted,
        ]
        erasure: [
            everything_of_a_connection_is_deleted_but_itself,
            deleting_goes_in_steps_of_any_size,
            what_was_deleted_can_be_stored_anew,
        ]
    } };
    (queue => $($then:ident)::+!($($first:tt)*)) => { $($then)::+! { $($first)*
        queue: [
            any_number_of_messages_arrives_each_at_its_worker,
            messages_of_several_connections_go_together,
            a_message_full_of_ids_arrives,
            edits_arrive_as_they_were_sent,
            many_messages_to_writeback_arrive,
            a_delayed_message_arrives_after_its_delay,
            a_delayed_message_to_writeback_arrives_after_its_delay,
            dead_letters_are_seen_and_stay,
            messages_to_writeback_that_are_sent_again_arrive,
            redriven_dead_letters_arrive_at_their_queue,
            a_dead_letter_that_nobody_can_read_is_seen_too,
        ]
    } };
    (vault => $($then:ident)::+!($($first:tt)*)) => { $($then)::+! { $($first)*
        vault: [
            tokens_are_kept_replaced_and_forgotten,
            forgotten_tokens_can_be_followed_by_new_ones,
            tokens_of_two_connections_never_mix,
            clients_and_the_operator_are_as_they_were_filled_in,
        ]
    } };
}

macro_rules! functions {
    ($port:ty; $($name:ident: [$($clause:ident,)+])+) => { $(
        #[doc = concat!("Checks all clauses of `", stringify!($name), "`, one after the other.")]
        pub async fn $name(setting: &Setting<$port>) {
            $( crate::$name::$clause(setting).await; )+
        }
    )+ };
}

__clauses!(store => functions!(dyn Store;));
__clauses!(queue => functions!(dyn Mailbox;));
__clauses!(vault => functions!(dyn Safe;));

/// One clause by itself, for [`tests!`](crate::tests).
#[doc(hidden)]
pub mod check {
    use super::{Mailbox, Safe, Setting, Store};

    macro_rules! modules {
        ($port:ty; $($name:ident: [$($clause:ident,)+])+) => { $(
            pub mod $name {
                use super::*;
                $(
                    pub async fn $clause(setting: &Setting<$port>) {
                        crate::$name::$clause(setting).await;
                    }
                )+
            }
        )+ };
    }

    __clauses!(store => modules!(dyn Store;));
    __clauses!(queue => modules!(dyn Mailbox;));
    __clauses!(vault => modules!(dyn Safe;));
}

/// Makes a test of each clause: `contract::tests!(store: setting)`, where `setting` is an async function that makes the
/// [`Setting`]; `queue` and `vault` likewise. The crate that uses it needs tokio.
#[macro_export]
macro_rules! tests {
    ($kind:ident: $setting:ident) => {
        $crate::__clauses!($kind => $crate::__tests!($setting;));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($setting:ident; $($name:ident: [$($clause:ident,)+])+) => { $(
        mod $name {
            $(
                #[tokio::test]
                async fn $clause() {
                    $crate::check::$name::$clause(&super::$setting().await).await;
                }
            )+
        }
    )+ };
}
