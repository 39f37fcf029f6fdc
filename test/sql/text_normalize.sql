\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;

-- names
SELECT s, crm_member.normalize_name(s) FROM unnest(ARRAY[
  '张　伟', '張偉先生', '刘女士', 'A李总', '小李', '陈**', 'Zhao  WEN', 'Mr. José Núñez', 'O''Brien, Mary',
  '张发和2', '陶艺爽。', '孙欣影(VIP)', '钟薇翠-店员推荐', '迪丽努尔·阿布力米提', '迪丽努尔.阿布力米提',
  'tb991351036', '。', '乾隆', '鍾楚紅', '峯', '单田芳女士', '张*伟', 'O’Connor', 'Straße', 'İstanbul', 'Smith, John',
  '王小明VIP', '李明-13812345678', '王女士13812345678', '未知', '先生', 'N/A', 'ZHANG Wei', '阿卜杜拉•买买提', 'momo', '欧阳娜娜', '欧阳先生', 'ＷＡＮＧ Fang', 'Marco Müller', '李莉总', '', '🌸', NULL]) s;

-- telephone numbers
SELECT s, crm_member.normalize_phone(s) FROM unnest(ARRAY[
  '138 1234 5678', '+86 138-1234-5678', '008613812345678', '013812345678', '86-13812345678',
  '＋８６１８１６９１３３６１２', 'l3812345678', '138l2345o78', '(+86)15758013328', '18412896811-1084',
  '138****5678', '13800138000', '11111111111', '+852 9123 4567', '00852 91234567', '010-12345678',
  '+86 10 12345678', '一三八〇〇一二三四五六', 'abc', '', '+1 (650) 253-0000', '1234', '+853 6612 3456',
  '+886 912 345 678', '13812345678 转 123', '13812345678/13912345678', '13812345678,13900001111', 'tel:+86-138-1234-5678', '138-1234-5678 (李先生)', NULL]) s;

-- a tail that is hidden in one way or another, and what only looks like it
SELECT s, crm_member.normalize_name(s) FROM unnest(ARRAY['张X', '张☆', '张**', '张某', '王某某', '欧阳XX', '张_', '李？', '美丽☆', '何其某', 'Max X']) s;

-- e-mail
SELECT s, crm_member.normalize_email(s) FROM unnest(ARRAY[
  'Foo.Bar+x@Gmail.com', 'rongcong.chen58＠gmail.com', '123@qq.com', '712319716+1@qq.com', 'no@no.com', 'x',
  'a@b', 'foo@gmial.com', ' Hes20874@139.COM ', 'a@b@c.com', 'foo@163。com', 'foo@example.com', '"foo bar"@x.com', '', NULL]) s;

-- identity numbers: 18 signs, 15 digits, full width; wrong check sign, day, sign, length
SELECT s, r.* FROM unnest(ARRAY[
  '11010519491231002X', '11010519491231002x', '110105491231002', '１１０１０５ 19491231 002Ｘ', '440524188001010014',
  '110105194912310021', '11010519490229002X', '1101051949123100XX', '1101051949123100', '', NULL]) s, crm_member.read_id_number(s) AS r;

SELECT crm_member.normalizer_version() ~ '^4/ICU [0-9.]+$' AS version;
