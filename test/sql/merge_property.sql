--
-- Any sequence of earning, spending, holding, reversing, merging and unmerging:
-- nothing is lost, everything is where the live merges say, and nothing else matters.
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
SELECT crm_member.import_coupon('five', 'FIVE') IS NOT NULL AS imported;
INSERT INTO crm_member.member (member_id, joined_at, tags)
SELECT i, timestamptz '2024-01-01' + i * interval '1 day', ARRAY['t' || i] FROM generate_series(1, 7) AS i;
INSERT INTO crm_member.person (member_id, name, mobile) SELECT i, 'n' || i, CASE WHEN i % 2 = 0 THEN '1391111000' || i END FROM generate_series(1, 7) AS i;
INSERT INTO crm_member.identity (kind, value, member_id) SELECT 'mobile', '1391111000' || i, i FROM generate_series(2, 6, 2) AS i;
INSERT INTO crm_member.member_tier (member_id, tier_code, since) VALUES (2, 'silver', '2025-01-01'), (5, 'gold', '2025-02-01');

-- what the members are and have, whatever way it came about
CREATE FUNCTION pg_temp.state() RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_object_agg(m.member_id, jsonb_build_object(
           'into', m.merged_into, 'status', m.status, 'person', to_jsonb(p), 'tags', m.tags, 'joined', m.joined_at,
           'tier', (SELECT tier_code FROM crm_member.member_tier t WHERE t.member_id = m.member_id),
           'accounts', (SELECT jsonb_object_agg(a.points_type, jsonb_build_object('balance', a.balance, 'debt', a.debt, 'closed', a.closed))
                          FROM crm_member.points_account a WHERE a.member_id = m.member_id AND (a.balance <> 0 OR a.debt <> 0)),
           'lots', (SELECT jsonb_agg(jsonb_build_array(l.points_type, l.remaining, l.earned_at, l.available_at, l.expires_at)
                           ORDER BY l.points_type, l.earned_at, l.available_at, l.expires_at, l.remaining)
                      FROM crm_member.points_lot l WHERE l.member_id = m.member_id AND l.open),
           'held', (SELECT sum(h.held) FROM crm_member.points_hold h WHERE h.member_id = m.member_id),
           'sales', (SELECT count(*) FROM crm_member.sale s WHERE s.member_id = m.member_id),
           'used', (SELECT sum(u.points) FROM crm_member.points_rule_use u WHERE u.member_id = m.member_id AND u.points > 0),
           'redeemed', coalesce((SELECT t.uses FROM crm_member.coupon_tally t WHERE t.member_id = m.member_id),
                                (SELECT count(*) FROM crm_member.coupon_use u WHERE u.member_id = m.member_id AND u.returned_at IS NULL))))
    FROM crm_member.member m LEFT JOIN crm_member.person p USING (member_id)
$$;

-- open lots that are not where their owner is
CREATE FUNCTION pg_temp.astray() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM crm_member.points_lot l
   WHERE l.open AND crm_member.canonical_member(coalesce(l.owner_member, l.member_id)) <> l.member_id
$$;

CREATE TEMP TABLE act (ref text PRIMARY KEY, kind text, member_id bigint);
CREATE TEMP TABLE sequence (step int PRIMARY KEY, act text);
CREATE FUNCTION pg_temp.last_acts(step int) RETURNS text LANGUAGE sql AS $$
  SELECT E'\n' || string_agg(s.step || ' ' || s.act, E'\n' ORDER BY s.step) FROM sequence s WHERE s.step > last_acts.step - 40
$$;
CREATE TEMP TABLE tally (what text PRIMARY KEY, n bigint NOT NULL DEFAULT 0);

CREATE FUNCTION pg_temp.note(what text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO tally VALUES (what, 1) ON CONFLICT (what) DO UPDATE SET n = tally.n + 1
$$;

-- one random act; refusals of the business are part of it
CREATE FUNCTION pg_temp.random_act(step int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  who bigint := 1 + floor(random() * 7);
  other bigint := 1 + floor(random() * 7);
  n numeric := 1 + floor(random() * 100);
  verb text := (ARRAY['earn', 'earn', 'earn', 'earn', 'sell', 'sell', 'sell to identity', 'redeem', 'refund', 'spend', 'spend', 'hold', 'release', 'capture', 'reverse', 'transfer', 'merge', 'merge', 'unmerge'])[1 + floor(random() * 19)];
  type text := CASE WHEN random() < 0.3 THEN 'stars' ELSE 'points' END;
  r text := 'r' || step;
  picked record;
  undone jsonb;
BEGIN
  INSERT INTO sequence VALUES (step, concat_ws(' ', verb, who, other, n, type)) ON CONFLICT DO NOTHING;
  CASE verb
    WHEN 'earn' THEN
      PERFORM crm_member.award_points(who, n, 'x', r, type,
        expires_at => CASE WHEN random() < 0.5 THEN now() + (1 + floor(random() * 30)) * interval '1 day' END,
        available_at => CASE WHEN random() < 0.2 THEN now() + interval '12 hours' END);
      INSERT INTO act VALUES (r, verb, who);
    WHEN 'sell' THEN
      PERFORM crm_member.checkout(jsonb_build_object('ref', r, 'member_id', who, 'lines', jsonb_build_array(jsonb_build_object('price', n))));
    WHEN 'sell to identity' THEN
      PERFORM crm_member.checkout(jsonb_build_object('ref', r, 'identity', jsonb_build_object('kind', 'mobile', 'value', '1391111000' || 2 * (1 + who % 3)),
        'lines', jsonb_build_array(jsonb_build_object('price', n)), 'coupons', '["FIVE"]'::jsonb));
    WHEN 'redeem' THEN
      PERFORM crm_member.redeem_coupon('FIVE', jsonb_build_object('member_id', who, 'lines', jsonb_build_array(jsonb_build_object('price', n))), r);
    WHEN 'refund' THEN
      SELECT s.ref INTO picked FROM crm_member.sale s ORDER BY random() LIMIT 1;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      PERFORM crm_member.refund(jsonb_build_object('ref', r, 'sale_ref', picked.ref));
    WHEN 'spend' THEN
      PERFORM crm_member.spend_points(who, n, 'x', r, type);
      INSERT INTO act VALUES (r, verb, who);
    WHEN 'hold' THEN
      PERFORM crm_member.hold_points(who, n, 'x', r, type);
      INSERT INTO act VALUES (r, verb, who);
    WHEN 'transfer' THEN
      PERFORM crm_member.transfer_points(who, other, n, 'x', r, type);
    WHEN 'merge' THEN
      PERFORM crm_member.merge_members(CASE WHEN random() < 0.5 THEN who END, ARRAY[other, 1 + floor(random() * 7)]::bigint[], r, '{"override_distinct": true}');
    WHEN 'unmerge' THEN
      SELECT e.merge_id INTO picked FROM crm_member.merge_edge e WHERE e.undone_by IS NULL ORDER BY random() LIMIT 1;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      PERFORM crm_member.unmerge(picked.merge_id, r);
    ELSE
      SELECT a.* INTO picked FROM act a WHERE a.kind = ANY (CASE verb WHEN 'reverse' THEN '{earn,spend}' ELSE '{hold}' END::text[]) ORDER BY random() LIMIT 1;
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
EXCEPTION WHEN SQLSTATE 'RM301' OR SQLSTATE 'RM303' OR SQLSTATE 'RM304' OR SQLSTATE 'RM203' OR SQLSTATE 'RM415' OR invalid_parameter_value THEN
  PERFORM pg_temp.note(verb || ' refused ' || SQLSTATE);
END
$$;

CREATE FUNCTION pg_temp.total() RETURNS numeric LANGUAGE sql AS $$
  SELECT (SELECT coalesce(sum(points), 0) FROM crm_member.points_entry)
       - (SELECT coalesce(sum(points), 0) FROM crm_member.points_entry WHERE kind IN ('merge_out', 'merge_in', 'transfer_out', 'transfer_in'))
$$;

CREATE FUNCTION pg_temp.run(seed float8, steps int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  before jsonb;
  first jsonb;
  merged jsonb;
  undo record;
  order_no int;
BEGIN
  PERFORM setseed(seed);
  FOR step IN 1 .. steps LOOP
    PERFORM pg_temp.random_act((seed * 1000)::int * 10000 + step);
    IF pg_temp.astray() > 0 THEN
      RETURN 'lots are astray after step ' || step || pg_temp.last_acts((seed * 1000)::int * 10000 + step);
    END IF;
    IF step % 10 = 0 AND EXISTS (SELECT FROM crm_member.verify_ledger()) THEN
      RETURN 'books are wrong after step ' || step || ': ' || (SELECT string_agg(v::text, '; ') FROM crm_member.verify_ledger() v);
    END IF;
    IF (SELECT sum(balance) FROM crm_member.points_account) <> pg_temp.total() THEN
      RETURN 'points vanished in step ' || step || pg_temp.last_acts((seed * 1000)::int * 10000 + step);
    END IF;
    -- merge, then unmerge: as if nothing had been
    IF step % 5 = 0 THEN
      before := pg_temp.state();
      merged := crm_member.merge_members(NULL, ARRAY[1 + floor(random() * 7), 1 + floor(random() * 7), 1 + floor(random() * 7)]::bigint[], policy => '{"override_distinct": true}');
      IF merged->>'merge_id' IS NOT NULL THEN
        PERFORM crm_member.unmerge((merged->>'merge_id')::bigint);
        PERFORM pg_temp.note('merged and unmerged');
      END IF;
      IF pg_temp.state() <> before THEN
        RETURN format('unmerge did not undo merge in step %s: %s %s', step, pg_temp.last_acts((seed * 1000)::int * 10000 + step),
          left((SELECT string_agg(b.key || ': ' || b.value || ' became ' || a.value, E'\n') FROM jsonb_each(before) b JOIN jsonb_each(pg_temp.state()) a USING (key) WHERE a.value <> b.value), 2000));
      END IF;
    END IF;
    -- undo merges in several orders: the same comes of it
    IF step % 20 = 0 THEN
      first := NULL;
      FOR order_no IN 1 .. 3 LOOP
        BEGIN
          FOR undo IN SELECT DISTINCT merge_id, md5(order_no::text || merge_id) FROM crm_member.merge_edge
                       WHERE undone_by IS NULL AND (merge_id / 65536) % 2 = 0 ORDER BY 2 LOOP
            PERFORM crm_member.unmerge(undo.merge_id);
            PERFORM pg_temp.note('undone in some order');
          END LOOP;
          RAISE EXCEPTION USING ERRCODE = 'P9999', MESSAGE = pg_temp.state()::text;
        EXCEPTION WHEN SQLSTATE 'P9999' THEN
          first := coalesce(first, SQLERRM::jsonb);
          IF first <> SQLERRM::jsonb THEN
            RETURN format('order of undoing matters in step %s: %s %s', step, pg_temp.last_acts((seed * 1000)::int * 10000 + step),
              left((SELECT string_agg(b.key || ': ' || b.value || ' against ' || a.value, E'\n') FROM jsonb_each(first) b JOIN jsonb_each(SQLERRM::jsonb) a USING (key) WHERE a.value <> b.value), 2000));
          END IF;
        END;
      END LOOP;
    END IF;
  END LOOP;
  RETURN 'ok';
END
$$;

SELECT i AS seed, pg_temp.run(i / 10.0, 120) FROM generate_series(1, 6) AS i;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
-- every kind of act took part
SELECT what, n > 0 AS done FROM tally WHERE what NOT LIKE '%refused%' ORDER BY 1;
