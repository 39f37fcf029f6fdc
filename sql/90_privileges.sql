-- Who may do what: nothing for PUBLIC, and levels of rights for roles the DBA names.

REVOKE ALL ON SCHEMA crm_member FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA crm_member FROM PUBLIC;

DO $$
DECLARE
  type_name text;
BEGIN
  FOR type_name IN
    SELECT oid::regtype FROM pg_type
    WHERE typnamespace = 'crm_member'::regnamespace AND typelem = 0
  LOOP
    EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', type_name);
  END LOOP;
END
$$;

-- The one place that says which level an object asks for. Levels hold what the
-- levels before them hold; % in a name stands for anything.
CREATE FUNCTION crm_member.access_rule(
  OUT level text, OUT privilege text, OUT names text[]) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  VALUES
  -- all but personal data
  ('reader', 'select', '{setting,node,tier,tier_rule,member,member_tier,member_tier_event,identity_kind,card_type,
    sale,sale_line,sale_ref,sale_fact,line_fact,sale_tender,refund,refund_line,refund_ref,
    points_type,points_rule,points_conversion,points_account,points_entry,points_lot,points_hold,points_by_rule,points_rule_use,ledger_run,
    coupon_template,coupon_use,coupon_tally,coupon_share,coupon_limit,coupon_funnel,
    rfm,rfm_model,rfm_run,rfm_state,rfm_member,rfm_segment,rfm_history,rfm_migration,segment,segment_set,member_value,
    value_pyramid,member_360_view,tier_%,member_merge,merge_edge,merge_part,merge_field,merge_source,merge_policy,merge_conflict,merged_sale,merged_tier,referral,referral_reward,referral_standing,member_relation,related_member,consent,consent_now,member_kin,
    points_liability,points_forecast,points_rule_effect,points_movement,points_by_day,points_by_store,
    store_performance,member_consumption,member_root,stored_value_%,job,job_run,job_state,job_progress}'::text[]),
  ('reader', 'execute', '{require_setup,require_expiry,allocate,round_decimal,condition_attributes,condition_sql,days_to_birthday,condition_matches,condition_explain,
    condition_concerns,normalize_name,normalize_phone,normalize_email,normalizer_version,is_%,known_job,
    compare_values,read_id_number,blind_value,
    canonical_member,family_of,counting_referral,judge_referral,referrer_of,may_contact,member_360,mask,may_see_person,card_expiry,
    sale_document,evaluate_points,explain_points,simulate_rules,rule_totals,points_balance,stored_value_balance,verify_ledger,
    rfm_score,r,f,m,rfm_from,rfm_grid%,rfm_path,segment_bars%,score_member,score_band,segment_of,unpack_scores,minor_to_money,rfm_scores,rfm_moves,tier_progress}'),

  -- what happens at a till
  ('cashier', 'select', '{card,card_event,coupon_refusal}'),
  ('cashier', 'execute', '{new_id,member_id,normalize_identity,usable_card,register_member,bind_identity,
    issue_card,activate_card,report_card_lost,replace_card,primary_card,set_primary_card,refer_member,set_consent,match_member,quote,checkout,refund,
    validate_coupon,best_coupons,hold_coupon,release_coupon,redeem_coupon,coupon_history,
    spend_points,hold_points,release_points,capture_points,convert_points,
    top_up_stored_value,spend_stored_value,authorise_stored_value,capture_stored_value,void_stored_value,return_stored_value}'),

  -- persons, configuration, corrections, bulk work
  ('manager', 'select', '{person,identity,member_ref,member_event,member_fact,member_context,member_filter,card_batch,
    import,import_error,coupon,coupon_alias,coupon_event,member_case,golden_record,merged_debt,merged_coupon,match_model,match_record,match_relation,match_verdict,match_run,match_key,duplicate_%}'),
  ('manager', 'execute', '{unbind_identity,set_member_status,set_tier,review_tier,create_cards,cancel_card,import_members,settle_sales,
    award_points,adjust_points,reverse_points,transfer_points,close_stored_value,expire_points,expire_step,release_step,release_timed_out,note_ledger_run,
    generate_coupons,issue_coupon,import_coupon,void_coupon,review_tiers,begin_tier_review,review_step,note_tier_review,
    reward_referral,relate_members,unrelate_members,open_case,close_case,merge_members,unmerge,was_erased,mark_distinct,judge_pair,match_keys,connected_components,run_rfm,cuts_ascend,filter_sql,filter_members,filter_count,combined_members,combined_count,refresh_segments,find_duplicates}'),
  ('manager', 'insert', '{sale,sale_line}'),
  ('manager', 'change', '{tier,tier_rule,identity_kind,card_type,points_rule,points_conversion,coupon_template,stored_value_policy,
    rfm_model,segment,segment_set,member_filter,merge_field,merge_source,merge_policy}'),

  -- a match model names a query that find_duplicates() runs as whoever calls it
  ('admin', 'change', '{setting,points_type,stored_value_setting,merge_part,match_model}'),

  -- secrets: who knows the key of codes can foresee them, who knows that of match_key can try out numbers on it
  ('admin', 'select', '{coupon_secret,match_secret}'),
  ('nobody', 'select', '{erasure_salt}')
$$;

COMMENT ON FUNCTION crm_member.access_rule() IS
  'The lowest level (reader, cashier, manager, admin; or nobody) that may use an object: execute a function, select from, insert into, or change (insert, update, delete) a table. To read or execute what is not named is for admin, to write it for nobody: functions do. Functions behind types, operators and casts are for every level';

CREATE FUNCTION crm_member.grant_access(role name, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  levels CONSTANT text[] := '{reader,cashier,manager,admin,nobody}';
  granted CONSTANT int := array_position(levels[:4], grant_access.level);
  statement text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = grant_access.role) THEN
    RAISE EXCEPTION 'role "%" does not exist', grant_access.role
      USING ERRCODE = 'undefined_object',
            HINT = 'CREATE ROLE makes it; grant_access() gives it rights.';
  END IF;
  IF granted IS NULL THEN
    RAISE EXCEPTION 'level "%" is unknown', grant_access.level
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Levels are reader, cashier, manager and admin.';
  END IF;
  IF to_regclass('crm_member.setting') IS NULL THEN
    RAISE EXCEPTION 'crm_member is not set up in this database'
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'CALL crm_member.setup() first.';
  END IF;

  FOR statement IN
    -- an underline of a name is no wildcard
    WITH rules AS (
      SELECT r.level, r.privilege, ARRAY(SELECT replace(n, '_', chr(92) || '_') FROM unnest(r.names) n) AS patterns
      FROM crm_member.access_rule() r)
    SELECT s FROM unnest(ARRAY[
      'REVOKE ALL ON ALL ROUTINES IN SCHEMA crm_member FROM %1$I',
      'REVOKE ALL ON ALL TABLES IN SCHEMA crm_member FROM %1$I',
      'REVOKE ALL ON ALL SEQUENCES IN SCHEMA crm_member FROM %1$I',
      'GRANT USAGE ON SCHEMA crm_member TO %1$I']) s
    UNION ALL
    SELECT format('GRANT USAGE ON TYPE %s TO %%1$I', t.oid::regtype)
    FROM pg_type t
    WHERE t.typnamespace = 'crm_member'::regnamespace AND t.typelem = 0 AND t.typrelid = 0
    UNION ALL
    SELECT format('GRANT EXECUTE ON ROUTINE %s TO %%1$I', p.oid::regprocedure)
    FROM pg_proc p
    WHERE p.pronamespace = 'crm_member'::regnamespace AND p.prorettype <> 'trigger'::regtype
      AND (EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)
           OR EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid)
           OR EXISTS (SELECT FROM pg_amproc a WHERE a.amproc = p.oid)
           OR EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
           OR granted >= (SELECT coalesce(min(array_position(levels, r.level)), 4)
                          FROM rules r
                          WHERE r.privilege = 'execute' AND p.proname LIKE ANY (r.patterns)))
    UNION ALL
    SELECT format('GRANT %s ON TABLE %s TO %%1$I', v.rights, c.oid::regclass)
    FROM pg_class c
    CROSS JOIN (VALUES ('select', 'SELECT', 4), ('insert', 'INSERT', NULL), ('change', 'INSERT, UPDATE, DELETE', NULL)) v (privilege, rights, unnamed)
    WHERE c.relnamespace = 'crm_member'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (v.privilege = 'select' OR c.relkind IN ('r', 'p'))
      AND granted >= (SELECT coalesce(min(array_position(levels, r.level)), v.unnamed)
                      FROM rules r
                      WHERE r.privilege = v.privilege AND c.relname LIKE ANY (r.patterns))
  LOOP
    EXECUTE format(statement, grant_access.role);
  END LOOP;
END
$$;

COMMENT ON FUNCTION crm_member.grant_access(name, text) IS
  'Give a role exactly the rights of a level: reader, cashier, manager or admin, each holding those before it; see access_rule(). To be called by the owner of the objects, and again after migrate(). Errors: 42704 unknown role, 22023 unknown level, 55000 before setup()';

REVOKE ALL ON FUNCTION crm_member.access_rule() FROM PUBLIC;
REVOKE ALL ON FUNCTION crm_member.grant_access(name, text) FROM PUBLIC;
