--
-- Before setup() every function says so, with the hint; migrate() afterwards.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
CREATE FUNCTION pg_temp.other_answers() RETURNS TABLE (call text, answer text) LANGUAGE plpgsql AS $$
DECLARE
  state text;
  hint text;
BEGIN
  FOREACH call IN ARRAY array['select crm_member.new_id()',
    'select * from crm_member.verify_ledger()',
    'select crm_member.register_member(name=>''a'')',
    'select crm_member.member_id(''mobile'',
    ''13800000001'')',
    'select crm_member.points_balance(1)',
    'call crm_member.run_rfm()',
    'select crm_member.settle_sales()',
    'select * from crm_member.simulate_rules(''2026-01-01'',
    ''2026-02-01'')',
    'select crm_member.member_360(1)',
    'select crm_member.import_members(''select 1 as name'')',
    'select crm_member.generate_coupons(''x'',1)',
    'select * from crm_member.best_coupons(''{"lines":[{"price":1}]}'')',
    'select * from crm_member.validate_coupon(''7K3M-9QXD-F2HT'',
    ''{"lines":[{"price":1}]}'')',
    'select * from crm_member.tier_progress(1)',
    'select crm_member.merge_members(1,array[2::bigint],''r'')',
    'call crm_member.review_tiers()',
    'call crm_member.expire_points()',
    'call crm_member.find_duplicates()',
    'select * from crm_member.match_member(''{"name":"a"}'')',
    'select crm_member.quote(''{"lines":[{"price":1}]}'')',
    'select crm_member.refund(''{"ref":"1","sale_ref":"2"}'')',
    'select crm_member.award_points(1,1,''x'',
    ''r'')',
    'select crm_member.issue_card(1,''1'',
    ''standard'')',
    'select crm_member.grant_access(''postgres'',
    ''reader'')',
    'select crm_member.canonical_member(1)',
    'select crm_member.top_up_stored_value(1,1,''x'',
    ''r'')',
    'select crm_member.sale_document(''a'',
    ''b'')',
    'select crm_member.erase_member(1,''x'')',
    'select crm_member.unmerge(1)',
    'select crm_member.mark_distinct(1,2,''x'')',
    'select crm_member.rfm_grid()',
    'select crm_member.filter_count(''x'')',
    'select crm_member.evaluate_points(''{"lines":[{"price":1}]}'')', 'select crm_member.transfer_points(1,2,1,ref=>''r'')',
    'select crm_member.usable_card(''1'')',
    'select crm_member.bind_identity(1,''mobile'',
    ''13800000001'')'] LOOP
    BEGIN
      EXECUTE call;
      answer := 'no error';
      RETURN NEXT;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, answer = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
      IF state <> '55000' OR hint !~ 'setup' THEN
        answer := state || ' ' || answer;
        RETURN NEXT;
      END IF;
    END;
  END LOOP;
END
$$;
SELECT * FROM pg_temp.other_answers();

\set VERBOSITY terse
CALL crm_member.migrate();
CALL crm_member.setup(time_zone => 'Mars/Olympus');
CALL crm_member.setup(money_scale => 5);
CALL crm_member.setup(currency => 'yuan');
CALL crm_member.setup();
CALL crm_member.setup();
CALL crm_member.migrate();
UPDATE crm_member.setting SET schema_version = 999;
CALL crm_member.migrate();
