--
-- A person is forgotten: no word of it is left anywhere in the schema, it is not found,
-- and the books are whole and the merge can be undone.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('gold', 'Gold', 1);
SELECT crm_member.register_member('Zebediah Quill', '+86 139 7777 0001', 'zeb.quill@example.org', '1980-02-03', source => 'erp', external_id => 'E1', ref => '13977770001',
                                  attrs => '{"nick": "zebby"}', card_no => 'CARD1', card_type => 'standard') AS zeb \gset
SELECT crm_member.register_member('欧阳慕白', '13977770002', source => 'wx', identities => '{"wechat_openid:wx1": "oQuill99"}') AS bai \gset
SELECT crm_member.register_member('Other Person', '13977770003') AS other \gset
-- what people, tills and jobs write down of it
SELECT crm_member.checkout(jsonb_build_object('ref', 's1', 'member_id', :zeb, 'attrs', '{"recipient": "Zebediah Quill"}'::jsonb,
         'lines', '[{"price": 100, "attrs": {"engraving": "For 欧阳慕白"}}]'::jsonb))->'points'->'earned' AS earned;
SELECT crm_member.refund('{"ref": "b1", "sale_ref": "s1", "lines": [{"line_no": 1, "quantity": 1}], "reason": "zebediah quill did not like it"}')->'points'->'taken_back' AS taken;
SELECT crm_member.award_points(:zeb, 5, 'for Zebediah Quill, phone 139-7777-0001', 'a1'), crm_member.award_points(:bai, 7, '慕白: 欧阳慕白 called', 'a2'),
       crm_member.award_points(:other, 9, 'Zebediah Quill brought him', 'a3'), crm_member.top_up_stored_value(:bai, 10, 'by 13977770002', 't1'),
       crm_member.set_tier(:bai, 'gold', 'friend of Zebediah Quill');
SELECT crm_member.set_member_status(:zeb, 'lost', 'Zebediah Quill rang'), crm_member.set_member_status(:zeb, 'active', 'zeb.quill@example.org wrote');
SELECT crm_member.report_card_lost('CARD1', 'lost by Zebediah Quill');
SELECT rows_rejected FROM crm_member.import_members($$SELECT 'Zebediah Quill' AS name, '13977770001' AS mobile, 'erp' AS source, 'E9' AS external_id$$);
CALL crm_member.find_duplicates('member');
SELECT r->'survivor' = to_jsonb(:zeb::bigint) AS merged FROM crm_member.merge_members(:zeb, ARRAY[:bai]::bigint[], 'm', '{"fields": {"name": "longest"}}') AS r;
SELECT crm_member.mark_distinct(:zeb, :other, 'Zebediah Quill says so');
SELECT crm_member.open_case(:bai, 'erasure', '欧阳慕白 asked') > 0 AS opened;
INSERT INTO crm_member.job_run (job, status, error) VALUES ('review_tiers', 'failed', 'member Zebediah Quill');

-- what is said of it in journals of others, and in references of every kind
SELECT crm_member.award_points(:other, 3, 'as Zebediah Quill asked', 'call from 13977770001', actor => 'app:zeb.quill@example.org'),
       crm_member.award_points(:other, 4, 'the same', 'call from +86 139-7777-0001'), crm_member.spend_points(:zeb, 1, 'x', '13977770001/1'),
       crm_member.set_member_status(:other, 'active', 'Zebediah Quill vouched', 'by 13977770002');
SELECT crm_member.checkout(jsonb_build_object('ref', '13977770001-77', 'source', 'erp', 'member_id', :other, 'attrs', '{"pick up": {"by": ["Zebediah Quill", "+8613977770001"]}}'::jsonb,
         'lines', '[{"price": 10, "attrs": {"Zebediah Quill": true}}]'::jsonb))->'points'->'earned' AS earned;
SELECT crm_member.refund('{"ref": "back 13977770001", "source": "erp", "sale_ref": "13977770001-77", "lines": [{"line_no": 1, "quantity": 1}], "reason": "欧阳慕白 brought it"}')->'points'->'taken_back' AS taken;
UPDATE crm_member.member SET attrs = '{"contact": "Zebediah Quill"}' WHERE member_id = :other;
SELECT crm_member.hold_points(:bai, 1, 'x', 'hold 13977770002'), crm_member.set_consent(:other, 'sms', 'ads', true, source => 'via zeb.quill@example.org', ref => '13977770001');
SELECT crm_member.register_member('Fay Quillon', '13977770004', attrs => '{"note": "not Quill"}') AS namesake \gset
SELECT crm_member.award_points(:namesake, 1, 'Fay Quillon, 213977770001', '213977770001') AS longer_number;

-- every row of the schema in which a pattern occurs
CREATE FUNCTION pg_temp.mentions(pattern text) RETURNS TABLE (relation text, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOR relation IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'crm_member'::regnamespace AND c.relkind = 'r' ORDER BY c.relname COLLATE "C" LOOP
    EXECUTE format('SELECT count(*) FROM crm_member.%I t WHERE t::text ~* $1', relation) INTO rows USING pattern;
    IF rows > 0 THEN
      RETURN NEXT;
    END IF;
  END LOOP;
END $$;
\set words '''quill\\M|zebby|1980-02-03|02-03-1980|(?<![02-9])139[- ]?7777[- ]?000[12]|慕白|oQuill99'''
SELECT * FROM pg_temp.mentions(:words);
CREATE TABLE books AS SELECT member_id, points_type, entry_no, kind, points, balance, at, lot_nos FROM crm_member.points_entry;
SELECT r->'identities' AS identities, jsonb_array_length(r->'members') AS members FROM crm_member.erase_member(:bai, 'asked', 'e1', 'kim') AS r;
SELECT m.* FROM pg_temp.mentions(:words) m;
-- but for another's name and number that have it within, and a word that is said of another
SELECT reason, ref FROM crm_member.points_entry WHERE member_id = :namesake;
SELECT attrs FROM crm_member.member WHERE member_id IN (:other, :namesake) ORDER BY attrs::text;
-- references are told apart still, and one that names an act and its hold or sale is one
SELECT count(*) AS digests, count(DISTINCT ref) AS different FROM crm_member.points_entry WHERE ref LIKE 'erased:%';
SELECT count(*) AS holds FROM crm_member.points_hold h JOIN crm_member.points_entry e USING (member_id, ref) WHERE h.ref LIKE 'erased:%';
SELECT count(*) AS sales FROM crm_member.sale s JOIN crm_member.sale_ref r USING (source, ref) WHERE s.ref LIKE 'erased:%';
SELECT count(*) AS refunds FROM crm_member.refund s JOIN crm_member.refund_ref r USING (source, ref) WHERE s.ref LIKE 'erased:%';
-- the same again, and without the reference
SELECT crm_member.erase_member(:bai, 'asked', 'e1', 'kim')->'identities' AS repeated, crm_member.erase_member(:zeb, 'asked')->'identities' AS again;
SELECT crm_member.member_id('mobile', '13977770001'), crm_member.member_id('mobile', '13977770002'), crm_member.member_id('wechat_openid:wx1', 'oQuill99');
SELECT count(*) AS likely FROM crm_member.match_member('{"name": "Zebediah Quill", "mobile": "13977770001"}');
SELECT crm_member.was_erased('mobile', '139 7777 0002') AS erased, crm_member.was_erased('mobile', '13977770003') AS other;
SELECT reason FROM crm_member.points_entry WHERE reason LIKE '%erased%' ORDER BY reason COLLATE "C";
SELECT kind, closed_at IS NOT NULL AS closed, outcome FROM crm_member.member_case;
-- the books are as they were, and the merge can be undone
SELECT (SELECT count(*) > 0 FROM books) AS known, count(*) AS changed FROM (SELECT * FROM books EXCEPT SELECT member_id, points_type, entry_no, kind, points, balance, at, lot_nos FROM crm_member.points_entry) x;
SELECT * FROM crm_member.verify_ledger();
SELECT jsonb_array_length(crm_member.unmerge(merge_id, 'u')->'undone') AS undone FROM crm_member.member_merge WHERE ref = 'm';
SELECT m.member_id = :zeb AS zeb, m.status, m.merged_into, p.name, (SELECT sum(balance) FROM crm_member.points_account a WHERE a.member_id = m.member_id) AS balance
  FROM crm_member.member m LEFT JOIN crm_member.person p USING (member_id) ORDER BY m.member_id;
SELECT * FROM crm_member.verify_ledger();
-- nobody else may touch a journal, and the other is who he was
UPDATE crm_member.points_entry SET reason = NULL;
SELECT name, mobile FROM crm_member.person ORDER BY name;
DROP TABLE books;
-- a nickname that is a number of others' receipts, and one of signs alone
SELECT crm_member.register_member('Kit', identities => '{"nickname:taobao": "1001", "nickname:jd": "S01"}') AS kit \gset
SELECT crm_member.register_member('Kat', identities => '{"nickname:taobao": "()"}') AS kat \gset
SELECT crm_member.award_points(:other, 1001, '1001 for S01', 'S01-1001'), crm_member.award_points(:kat, 5, 'nice', 'k1');
SELECT crm_member.erase_member(:kit, 'asked')->'identities' AS kit, crm_member.erase_member(:kat, 'asked')->'identities' AS kat;
SELECT reason, ref FROM crm_member.points_entry WHERE member_id = :kat OR points = 1001;
