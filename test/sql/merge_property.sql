--
-- Any sequence of earning, spending, holding, selling, reversing, paying, merging and
-- unmerging: nothing is lost, everything is where the live merges say, and nothing
-- else matters.  Each world has seven members of its own, who meet nobody else.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);
INSERT INTO crm_member.points_type (points_type, name) VALUES ('stars', 'Stars');
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO crm_member.points_rule (rule_code, award, points, member_limit) VALUES ('gift', 'fixed', 7, 40);
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, member_limit) VALUES ('five', 'amount', 5, NULL, 3);
INSERT INTO crm_member.coupon_template (template_code, kind, value, member_limit) VALUES ('welcome', 'amount', 5, 1);
SELECT crm_member.import_coupon('five', 'FIVE') IS NOT NULL AS imported;

-- World w: members 100 w + 1 to 7, of whom some have a mobile, a card, a tier, a gift.
CREATE FUNCTION pg_temp.make_world(w int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO crm_member.member (member_id, joined_at, tags, attrs)
  SELECT 100 * w + i, timestamptz '2024-01-01' + i * interval '1 day', ARRAY['t' || i], jsonb_build_object('a' || i % 3, i) FROM generate_series(1, 7) AS i;
  INSERT INTO crm_member.person (member_id, name, mobile, birthday)
  SELECT 100 * w + i, 'Name ' || i, CASE WHEN i % 2 = 0 THEN '1391111' || 1000 + 10 * w + i END, CASE WHEN i % 3 = 0 THEN DATE '1990-01-01' + i END FROM generate_series(1, 7) AS i;
  INSERT INTO crm_member.identity (kind, value, member_id) SELECT 'mobile', '1391111' || 1000 + 10 * w + i, 100 * w + i FROM generate_series(2, 6, 2) AS i;
  INSERT INTO crm_member.member_tier (member_id, tier_code, since) VALUES (100 * w + 2, 'silver', '2025-01-01'), (100 * w + 5, 'gold', '2025-02-01');
  INSERT INTO crm_member.card (card_no, card_type, member_id, state, issued_at, effective_at)
  SELECT 'C' || 100 * w + i, 'standard', 100 * w + i, 'enabled', now(), now() - i * interval '1 day' FROM generate_series(1, 6) AS i;
  SELECT count(crm_member.issue_coupon('welcome', 100 * w + i, 'w')) FROM generate_series(3, 7) AS i;
$$;

-- what the members are and have, whatever way it came about
CREATE FUNCTION pg_temp.state(w int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_object_agg(m.member_id, jsonb_build_object(
           'into', m.merged_into, 'status', m.status, 'person', to_jsonb(p), 'tags', m.tags, 'attrs', m.attrs, 'joined', m.joined_at,
           'tier', (SELECT jsonb_build_array(tier_code, manual_tier) FROM crm_member.member_tier t WHERE t.member_id = m.member_id),
           'cards', (SELECT jsonb_agg(jsonb_build_array(c.card_no, c.state, c.aside_since IS NOT NULL) ORDER BY c.card_no) FROM crm_member.card c WHERE c.member_id = m.member_id),
           'card', crm_member.primary_card(m.member_id),
           'coupons', (SELECT jsonb_agg(c.status ORDER BY c.code) FROM crm_member.coupon c WHERE c.member_id = m.member_id),
           'accounts', (SELECT jsonb_object_agg(a.points_type, jsonb_build_object('balance', a.balance, 'debt', a.debt, 'closed', a.closed))
                          FROM crm_member.points_account a WHERE a.member_id = m.member_id AND (a.balance <> 0 OR a.debt <> 0)),
           -- parts of a lot that came by different ways are one where it was born
           'lots', (SELECT jsonb_agg(jsonb_build_array(l.points_type, l.points, l.earned_at, l.available_at, l.expires_at)
                           ORDER BY l.points_type, l.earned_at, l.available_at, l.expires_at)
                      FROM (SELECT l.points_type, sum(l.remaining) AS points, l.earned_at, l.available_at, l.expires_at FROM crm_member.points_lot l
                             WHERE l.member_id = m.member_id AND l.open GROUP BY 1, 3, 4, 5) l),
           'held', (SELECT sum(h.held) FROM crm_member.points_hold h WHERE h.member_id = m.member_id),
           'sales', (SELECT count(*) FROM crm_member.sale s WHERE s.member_id = m.member_id),
           'used', (SELECT sum(u.points) FROM crm_member.points_rule_use u WHERE u.member_id = m.member_id AND u.points > 0),
           -- of who is merged nobody asks
           'redeemed', CASE WHEN m.merged_into IS NULL THEN coalesce((SELECT sum(t.uses) FROM crm_member.coupon_tally t WHERE t.member_id = m.member_id AND t.template_code = 'five'),
                                (SELECT count(*) FROM crm_member.coupon_use u WHERE u.member_id = m.member_id AND u.template_code = 'five' AND u.returned_at IS NULL)) END))
    FROM crm_member.member m LEFT JOIN crm_member.person p USING (member_id) WHERE m.member_id BETWEEN 100 * w + 1 AND 100 * w + 7
$$;

-- the same of families, whoever of them survives
CREATE FUNCTION pg_temp.families(w int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(jsonb_build_array(f.members, (
           SELECT jsonb_object_agg(x.points_type, x.balance) FROM (SELECT a.points_type, sum(a.balance) AS balance FROM crm_member.points_account a
            WHERE a.member_id = ANY (f.members) GROUP BY 1 HAVING sum(a.balance) <> 0) x)) ORDER BY f.members)
    FROM (SELECT array_agg(m ORDER BY m) AS members FROM generate_series(100 * w + 1, 100 * w + 7) m GROUP BY crm_member.canonical_member(m)) f
$$;

CREATE FUNCTION pg_temp.difference(a jsonb, b jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT left(string_agg(format('%s %s: %s against %s', x.key, f.key, f.value, y.value->f.key), E'\n'), 2000)
    FROM jsonb_each(a) x JOIN jsonb_each(b) y USING (key) CROSS JOIN jsonb_each(x.value) f WHERE f.value <> y.value->f.key
$$;

-- open lots that are not where their owner is
CREATE FUNCTION pg_temp.astray(w int) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM crm_member.points_lot l LEFT JOIN crm_member.member_kin k ON k.member_id = coalesce(l.owner_member, l.member_id)
   WHERE l.member_id BETWEEN 100 * w + 1 AND 100 * w + 7 AND l.open AND coalesce(k.root, l.owner_member, l.member_id) <> l.member_id
$$;

-- what is in the accounts, less what entries that move nothing in or out of the world say
CREATE FUNCTION pg_temp.vanished(w int) RETURNS numeric LANGUAGE sql AS $$
  SELECT coalesce((SELECT sum(a.balance) FROM crm_member.points_account a WHERE a.member_id BETWEEN 100 * w + 1 AND 100 * w + 7), 0)
       - coalesce((SELECT sum(e.points) FROM crm_member.points_entry e WHERE e.member_id BETWEEN 100 * w + 1 AND 100 * w + 7
                      AND e.kind NOT IN ('merge_out', 'merge_in', 'transfer_out', 'transfer_in')), 0)
$$;

CREATE TEMP TABLE act (w int, ref text, kind text, member_id bigint, PRIMARY KEY (w, ref));
CREATE TEMP TABLE sequence (w int, step int, act text, PRIMARY KEY (w, step));
CREATE FUNCTION pg_temp.last_acts(w int) RETURNS text LANGUAGE sql AS $$
  SELECT E'\n' || string_agg(s.step || ' ' || s.act, E'\n' ORDER BY s.step) || E'\n'
    FROM (SELECT * FROM sequence s WHERE s.w = last_acts.w ORDER BY s.step DESC LIMIT 40) s
$$;
CREATE TEMP TABLE tally (what text PRIMARY KEY, n bigint NOT NULL DEFAULT 0);

CREATE FUNCTION pg_temp.note(what text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO tally VALUES (what, 1) ON CONFLICT (what) DO UPDATE SET n = tally.n + 1
$$;

CREATE FUNCTION pg_temp.random_policy() RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('override_distinct', true, 'cards', CASE WHEN random() < 0.3 THEN 'deactivate' ELSE 'keep' END,
                            'coupons', CASE WHEN random() < 0.3 THEN 'void' ELSE 'keep' END)
$$;

-- one random act; refusals of the business are part of it
CREATE FUNCTION pg_temp.random_act(w int, step int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  verbs CONSTANT text[] := ARRAY['earn', 'earn', 'earn', 'earn', 'sell', 'sell', 'sell to identity', 'sell to card', 'redeem', 'redeem gift', 'refund', 'spend', 'spend', 'hold', 'release', 'capture', 'reverse', 'transfer',
                                 'top up', 'pay', 'give tier', 'lose card', 'find card', 'choose card', 'merge', 'merge', 'unmerge'];
  who bigint := 100 * w + 1 + floor(random() * 7);
  other bigint := 100 * w + 1 + floor(random() * 7);
  third bigint := 100 * w + 1 + floor(random() * 7);
  n numeric := 1 + floor(random() * 100);
  verb text := verbs[1 + floor(random() * array_length(verbs, 1))];
  type text := CASE WHEN random() < 0.3 THEN 'stars' ELSE 'points' END;
  r text := 'w' || w || ' ' || step;
  sold CONSTANT jsonb := jsonb_build_object('ref', r, 'lines', jsonb_build_array(jsonb_build_object('price', n)));
  picked record;
BEGIN
  INSERT INTO sequence VALUES (w, step, concat_ws(' ', verb, who, other, n, type)) ON CONFLICT DO NOTHING;
  CASE verb
    WHEN 'earn' THEN
      PERFORM crm_member.award_points(who, n, 'x', r, type,
        expires_at => CASE WHEN random() < 0.5 THEN date_trunc('hour', now()) + (1 + floor(random() * 30)) * interval '1 day' END,
        available_at => CASE WHEN random() < 0.2 THEN date_trunc('hour', now()) + interval '12 hours' END);
      INSERT INTO act VALUES (w, r, verb, who);
    WHEN 'sell' THEN
      PERFORM crm_member.checkout(sold || jsonb_build_object('member_id', who));
    WHEN 'sell to identity' THEN
      PERFORM crm_member.checkout(sold || jsonb_build_object('identity', jsonb_build_object('kind', 'mobile', 'value', '1391111' || 1000 + 10 * w + 2 * (1 + who % 3)), 'coupons', '["FIVE"]'::jsonb));
    WHEN 'sell to card' THEN
      PERFORM crm_member.checkout(sold || jsonb_build_object('identity', jsonb_build_object('kind', 'card', 'value', 'C' || who)));
    WHEN 'redeem' THEN
      PERFORM crm_member.redeem_coupon('FIVE', sold - 'ref' || jsonb_build_object('member_id', who), r);
    WHEN 'redeem gift' THEN
      SELECT c.code::text INTO picked FROM crm_member.coupon c WHERE c.member_id BETWEEN 100 * w + 1 AND 100 * w + 7 ORDER BY random() LIMIT 1;
      PERFORM crm_member.redeem_coupon(picked.code, sold - 'ref' || jsonb_build_object('member_id', who), r);
    WHEN 'refund' THEN
      SELECT s.ref INTO picked FROM crm_member.sale s WHERE s.member_id BETWEEN 100 * w + 1 AND 100 * w + 7 ORDER BY random() LIMIT 1;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      PERFORM crm_member.refund(jsonb_build_object('ref', r, 'sale_ref', picked.ref));
    WHEN 'spend' THEN
      PERFORM crm_member.spend_points(who, n, 'x', r, type);
      INSERT INTO act VALUES (w, r, verb, who);
    WHEN 'hold' THEN
      PERFORM crm_member.hold_points(who, n, 'x', r, type);
      INSERT INTO act VALUES (w, r, verb, who);
    WHEN 'transfer' THEN
      PERFORM crm_member.transfer_points(who, other, n, 'x', r, type);
    WHEN 'top up' THEN
      PERFORM crm_member.top_up_stored_value(who, n, 'x', r);
    WHEN 'pay' THEN
      PERFORM crm_member.spend_stored_value(who, n, 'x', r);
    WHEN 'give tier' THEN
      PERFORM crm_member.set_tier(who, CASE WHEN n < 40 THEN 'silver' WHEN n < 60 THEN 'gold' END, 'x', '2099-01-01');
    WHEN 'lose card' THEN
      PERFORM crm_member.report_card_lost('C' || who);
    WHEN 'find card' THEN
      PERFORM crm_member.activate_card('C' || who);
    WHEN 'choose card' THEN
      PERFORM crm_member.set_primary_card('C' || who);
    WHEN 'merge' THEN
      PERFORM crm_member.merge_members(CASE WHEN random() < 0.5 THEN who END, ARRAY[other, third], r, pg_temp.random_policy());
    WHEN 'unmerge' THEN
      SELECT e.merge_id INTO picked FROM crm_member.merge_edge e WHERE e.member_id BETWEEN 100 * w + 1 AND 100 * w + 7 AND e.undone_by IS NULL ORDER BY random() LIMIT 1;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      PERFORM crm_member.unmerge(picked.merge_id, r);
    ELSE
      SELECT a.* INTO picked FROM act a WHERE a.w = random_act.w AND a.kind = ANY (CASE verb WHEN 'reverse' THEN '{earn,spend}' ELSE '{hold}' END::text[]) ORDER BY random() LIMIT 1;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      IF verb = 'reverse' THEN
        PERFORM crm_member.reverse_points(picked.ref, picked.member_id, reason => 'x');
      ELSIF verb = 'release' THEN
        PERFORM crm_member.release_points(picked.member_id, picked.ref);
      ELSE
        PERFORM crm_member.capture_points(picked.member_id, picked.ref);
      END IF;
  END CASE;
  PERFORM pg_temp.note(verb);
EXCEPTION WHEN SQLSTATE 'RM301' OR SQLSTATE 'RM303' OR SQLSTATE 'RM304' OR SQLSTATE 'RM203' OR SQLSTATE 'RM415' OR SQLSTATE 'RM402' OR SQLSTATE 'RM403' OR SQLSTATE 'RM407'
            OR SQLSTATE 'RM701' OR SQLSTATE 'RM104' OR SQLSTATE 'RM105' OR SQLSTATE 'RM107' OR invalid_parameter_value THEN
  PERFORM pg_temp.note(verb || ' refused ' || SQLSTATE);
END
$$;

-- Undo all that is merged, in one of many orders, and do it again in a way; how it is then.  All of it is rolled back.
CREATE FUNCTION pg_temp.done_again(w int, way text, salt int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  edges CONSTANT crm_member.merge_edge[] := ARRAY(SELECT e FROM crm_member.merge_edge e WHERE e.member_id BETWEEN 100 * w + 1 AND 100 * w + 7 AND e.undone_by IS NULL ORDER BY e.position);
  families CONSTANT jsonb := pg_temp.families(w);
  edge crm_member.merge_edge;
  merge_id bigint;
  family jsonb;
  members bigint[];
  n int;
BEGIN
  FOR merge_id IN SELECT e.merge_id FROM unnest(edges) e GROUP BY 1 ORDER BY md5(salt::text || e.merge_id) LOOP
    PERFORM crm_member.unmerge(merge_id);
  END LOOP;
  IF way = 'nested' THEN
    -- nobody says who survives: families grow member by member, or of parts
    FOR family IN SELECT f->0 FROM jsonb_array_elements(families) f WHERE jsonb_array_length(f->0) > 1 LOOP
      members := ARRAY(SELECT m.value::bigint FROM jsonb_array_elements(family) m ORDER BY md5(salt::text || m.value));
      n := array_length(members, 1);
      IF salt % 2 = 0 THEN
        FOR i IN 2 .. n LOOP
          PERFORM crm_member.merge_members(NULL, members[i - 1:i], policy => '{"override_distinct": true}');
        END LOOP;
      ELSE
        PERFORM crm_member.merge_members(NULL, members[1:n / 2], policy => '{"override_distinct": true}');
        PERFORM crm_member.merge_members(NULL, members[n / 2 + 1:n], policy => '{"override_distinct": true}');
        PERFORM crm_member.merge_members(NULL, ARRAY[members[1], members[n]], policy => '{"override_distinct": true}');
      END IF;
    END LOOP;
  ELSE
    FOREACH edge IN ARRAY CASE way WHEN 'same' THEN edges ELSE ARRAY(SELECT e FROM unnest(edges) WITH ORDINALITY e (member_id, merge_id, survivor, position, fields, cards, coupons, undone_by, n) CROSS JOIN LATERAL (SELECT edges[e.n] AS e) x ORDER BY e.n DESC) END LOOP
      PERFORM crm_member.merge_members(edge.survivor, ARRAY[edge.member_id], policy => jsonb_build_object('fields', edge.fields, 'cards', edge.cards, 'coupons', edge.coupons, 'override_distinct', true));
    END LOOP;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'P9999', MESSAGE = jsonb_build_object('state', pg_temp.state(w), 'families', pg_temp.families(w))::text;
EXCEPTION WHEN SQLSTATE 'P9999' THEN
  RETURN SQLERRM::jsonb;
END
$$;

CREATE FUNCTION pg_temp.without(state jsonb, key text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_object_agg(m.key, m.value - without.key) FROM jsonb_each(state) m
$$;

CREATE FUNCTION pg_temp.step(w int, step int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  before jsonb;
  merged jsonb;
  again jsonb;
  nested jsonb;
BEGIN
  PERFORM pg_temp.random_act(w, step);
  IF pg_temp.astray(w) > 0 THEN
    RETURN 'lots are astray';
  END IF;
  IF pg_temp.vanished(w) <> 0 THEN
    RETURN 'points vanished: ' || pg_temp.vanished(w);
  END IF;
  -- merge, then unmerge: as if nothing had been
  IF step % 5 = 0 THEN
    before := pg_temp.state(w);
    merged := crm_member.merge_members(NULL, ARRAY[100 * w + 1 + floor(random() * 7), 100 * w + 1 + floor(random() * 7), 100 * w + 1 + floor(random() * 7)]::bigint[], policy => pg_temp.random_policy());
    IF merged->>'merge_id' IS NOT NULL THEN
      PERFORM crm_member.unmerge((merged->>'merge_id')::bigint);
      PERFORM pg_temp.note('merged and unmerged');
      IF pg_temp.state(w) <> before THEN
        RETURN 'unmerge did not undo merge: ' || pg_temp.difference(before, pg_temp.state(w));
      END IF;
    END IF;
  END IF;
  -- only the live merges matter: undone in any order and done again, it is as it was
  IF step % 25 = 0 THEN
    before := pg_temp.state(w);
    again := pg_temp.done_again(w, 'same', step);
    -- but for a tier that was given by hand to all of them together
    IF pg_temp.without(again->'state', 'tier') <> pg_temp.without(before, 'tier') THEN
      RETURN 'done again it is not the same: ' || pg_temp.difference(before, again->'state');
    END IF;
    again := pg_temp.done_again(w, 'backwards', step + 1);
    IF again->'families' <> pg_temp.families(w) THEN
      RETURN format('done again backwards it is not the same: %s against %s', pg_temp.families(w), again->'families');
    END IF;
    nested := pg_temp.without(pg_temp.done_again(w, 'nested', 2 * step)->'state', 'into');
    again := pg_temp.without(pg_temp.done_again(w, 'nested', 2 * step + 1)->'state', 'into');
    IF again <> nested THEN
      RETURN 'nesting matters: ' || pg_temp.difference(nested, again);
    END IF;
    PERFORM pg_temp.note('done again');
  END IF;
  RETURN 'ok';
END
$$;

CREATE PROCEDURE pg_temp.run(worlds int, steps int) LANGUAGE plpgsql AS $$
DECLARE
  said text;
BEGIN
  FOR w IN 1 .. worlds LOOP
    PERFORM pg_temp.make_world(w), setseed(w / 1000.0);
    COMMIT;
    FOR step IN 1 .. steps LOOP
      said := pg_temp.step(w, step);
      COMMIT;
      IF said <> 'ok' THEN
        RAISE WARNING 'world %, step %: % %', w, step, said, pg_temp.last_acts(w);
        EXIT;
      END IF;
    END LOOP;
    IF EXISTS (SELECT FROM crm_member.verify_ledger()) THEN
      RAISE WARNING 'world %: books are wrong: %', w, (SELECT string_agg(v::text, '; ') FROM crm_member.verify_ledger() v);
    END IF;
  END LOOP;
END
$$;

SET synchronous_commit = off;
CALL pg_temp.run(30, 100);
SELECT count(*) > 2000 AS acts, count(DISTINCT w) AS worlds FROM sequence;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
-- every kind of act took part
SELECT what, n > 0 AS done FROM tally WHERE what NOT LIKE '%refused%' ORDER BY 1;
