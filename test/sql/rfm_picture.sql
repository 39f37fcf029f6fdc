-- Pictures: in text and as SVG, in both languages.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
\pset format unaligned
\pset tuples_only on

SELECT rfm_grid();
SELECT rfm_grid(language => 'zh');
SELECT segment_bars();
UPDATE rfm_model SET name = 'All <of> "them" & ' || E'\x01' || 'more';
SELECT rfm_grid_svg() LIKE '%more: no run yet</text>%';
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at)
  SELECT m, m * 1000 + g, m * 1000 + g, timestamptz '2025-01-01 12:00+08' + (m * 37 % 200 + g) * interval '1 day', m * 7 % 50, now()
    FROM generate_series(1, 200) m, generate_series(0, m * 13 % 7) g;
CALL run_rfm('2025-09-30');
SELECT rfm_grid();
SELECT rfm_grid('default', 'zh');
SELECT segment_bars();
SELECT segment_bars('default', 'zh');
SELECT rfm_grid_svg();
SELECT segment_bars_svg(language => 'zh');
-- well-formed, alone, and escaped
SELECT f, xml_is_well_formed_document(svg) AS well_formed, svg ~ 'https?://(?!www\.w3\.org/2000/svg)|href|<style|<script|@import' AS looks_elsewhere,
       svg LIKE '%All &lt;of&gt; &quot;them&quot; &amp; more%' AS escaped
  FROM (VALUES ('grid en', rfm_grid_svg()), ('grid zh', rfm_grid_svg('default', 'zh')),
               ('bars en', segment_bars_svg()), ('bars zh', segment_bars_svg('default', 'zh'))) v (f, svg);
-- a segment with a name of the user's own, members that have none
UPDATE segment SET name_en = 'R & D <5>' WHERE segment_code = 'champions';
DELETE FROM segment WHERE segment_code = 'hibernating';
SELECT xml_is_well_formed_document(segment_bars_svg()), segment_bars_svg() LIKE '%R &amp; D &lt;5&gt;%';
SELECT segment_bars();
-- nor do characters that XML or a terminal has no use for do harm
UPDATE segment SET name_en = U&'\FFFFa\FFFE' || E'\x01\tb\nc' || chr(127) || '中' WHERE segment_code = 'champions';
SELECT xml_is_well_formed_document(segment_bars_svg());
SELECT segment_bars() ~ (E'\n' || U&'\FFFFa\FFFE' || '  b c 中 +[0-9]+ ') AS one_line;
-- without names the codes stand for them
UPDATE segment SET name_zh = '' WHERE segment_code = 'champions';
INSERT INTO rfm_model (model_code) VALUES ('plain');
SELECT segment_bars_svg('default', 'zh') LIKE '%>champions</text>%', rfm_grid_svg('plain') LIKE '%>plain: no run yet</text>%';
\set VERBOSITY sqlstate
SELECT rfm_grid('nosuch');
SELECT rfm_grid_svg('nosuch');
SELECT segment_bars('nosuch');
SELECT segment_bars_svg('nosuch');
SELECT rfm_grid('default', 'fr');
SELECT rfm_grid_svg('default', '');
SELECT rfm_grid(NULL) = rfm_grid() AS same;
