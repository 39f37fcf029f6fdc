\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;

-- names
SELECT s, crm_member.normalize_name(s) FROM unnest(ARRAY[
  '张　伟', '張偉先生', '刘女士', 'A李总', '小李', '陈**', 'Zhao  WEN', 'Mr. José Núñez', 'O''Brien, Mary',
  '张发和2', '陶艺爽。', '孙欣影(VIP)', '钟薇翠-店员推荐', '迪丽努尔·阿布力米提', '迪丽努尔.阿布力米提',
  'tb991351036', '。', 'momo', '欧阳娜娜', '欧阳先生', 'ＷＡＮＧ Fang', 'Marco Müller', '李莉总', '', '🌸', NULL]) s;

-- telephone numbers
SELECT s, crm_member.normalize_phone(s) FROM unnest(ARRAY[
  '138 1234 5678', '+86 138-1234-5678', '008613812345678', '013812345678', '86-13812345678',
  '＋８６１８１６９１３３６１２', 'l3812345678', '138l2345o78', '(+86)15758013328', '18412896811-1084',
  '138****5678', '13800138000', '11111111111', '+852 9123 4567', '00852 91234567', '010-12345678',
  '+86 10 12345678', '一三八〇〇一二三四五六', 'abc', '', '+1 (650) 253-0000', '1234', NULL]) s;

-- e-mail
SELECT s, crm_member.normalize_email(s) FROM unnest(ARRAY[
  'Foo.Bar+x@Gmail.com', 'rongcong.chen58＠gmail.com', '123@qq.com', '712319716+1@qq.com', 'no@no.com', 'x',
  'a@b', 'foo@gmial.com', ' Hes20874@139.COM ', 'a@b@c.com', '', NULL]) s;

SELECT crm_member.normalizer_version() ~ '^1/ICU [0-9.]+$' AS version;
