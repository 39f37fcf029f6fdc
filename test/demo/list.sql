-- A made-up list of members of a Chinese shop, from several systems; who is whom is unknown.
CREATE TABLE journey.list (
  "row" int PRIMARY KEY, source text, name text, mobile text, email text, birthday text, gender text, wechat_unionid text,
  nickname text, address text, city text, created_at timestamp, entity text);
INSERT INTO crm_member.match_model (model_code, source, key)
VALUES ('list', 'SELECT row, name, mobile, email, birthday, gender, wechat_unionid, nickname, address, city FROM journey.list', 'row');
