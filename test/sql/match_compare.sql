--
-- The comparators: on which level two values agree.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

CREATE FUNCTION pg_temp.show(comparator text, VARIADIC pairs text[])
RETURNS TABLE (a text, b text, level text) LANGUAGE sql AS $$
  SELECT pairs[i], pairs[i + 1], crm_member.compare_values(comparator, pairs[i], pairs[i + 1])
  FROM generate_series(1, cardinality(pairs), 2) AS i
$$;

SELECT * FROM pg_temp.show('name',
  '张伟', '張　偉先生', '李娜', 'Li Na', '赵文', 'Wen ZHAO', '曾静', 'zeng jing', '何冰', '何兵', '陈妍滢', '陈妍英',
  '王婷', '王停', '肖文', '萧文', '陈成', '陈程晨', '陈华', '陈建华', '张悦霞', '张霞', '林佳', '林家',
  '李女士', '李娜', '李先生', '李女士', '陈**', '陈惠', '周*园', '周园', '陈*坚', '陈惠', '付凯艺', 'Frank Fu',
  '张凡兰', '张凡春', '张伟', '张敏', '张伟', '王芳', '何珍珍', '珍的花园', '朱媛', 'zhuyuan9870', '何珍珍', 'hezhenzh7493',
  '迪丽努尔·阿布力米提', '迪丽努尔阿布力米提', 'momo', 'momo', 'momo', '星空', '吕嘉', 'lv jia', '吕嘉', 'Lyu Jia',
  'Robert Dubois', 'Bob Dubois', 'Sarah R.', 'Sarah Dubois', 'Dubois Sarah', 'Sarah Dubois', 'Mray Tanaka', 'Mary Tanaka',
  '东丽', '姜东丽', '国志', '欧阳国志', '黄大文', 'Wong Tai Man', '徐志明', 'Hsu Chih-ming', '张伟', 'Chang Wei', '李大文', 'Wong Tai Man',
  '朴智星', 'Piao Zhixing', '缪筱聪', 'miao xiaocong', '覃海洋', 'Qin Haiyang', '单雄信', 'Shan Xiongxin', 'Catherine Smith', 'Kathryn Smyth', '王芳', '顾客',
  'Sarah Dubois', 'Sarah Davis', 'Mary Tanaka', 'Karen Miller', '张伟', '', '🌸', '张伟');
SELECT * FROM pg_temp.show('nickname', 'Peggy', 'peggy☀️', 't***8', 'tom98', 'momo', 'angel');
SELECT * FROM pg_temp.show('given_name', 'Rob', 'Robert', 'Elizabeth', 'Elizabteh', 'Jon', 'Mary', 'A', 'Ann', 'Katherine', 'Kathleen');
SELECT * FROM pg_temp.show('surname', 'Allen', 'Alan', 'Smith', 'Smyth', 'Smith', 'Jones', '陈', '程');
SELECT * FROM pg_temp.show('phone', '+86 138-1234-5678', '13812345678', '138****5678', '13812345678', '138****5679', '13812345678',
  '13812345678', '13812345687', '13812345678', '1381234567', '13812345678', '13912345679', '13800138000', '13800138000', '14412345678', '14412345678',
  '18412896811-1084', '18412896811转1084', '18412896811-1084', '18412896811-2000');
SELECT * FROM pg_temp.show('email', 'Foo.Bar+1@gmail.com', 'foobar@gmial.com', '42019067@qq.com', '420719067@qq.com',
  'hes20874@139.com', 'hes20874@163.com', 'tao46@qq.com', 'tao90@qq.com', 'no@no.com', 'no@no.com');
SELECT * FROM pg_temp.show('date', '1990-05-06', '1990年05月06日', '19900506', '06/05/1990', '1990-05-06', '1990-06-05',
  '1990-05-06', '1980-05-06', '1990-05-06', '1990-05-28', '1990-05-06', '1993-08-06', '1990-05-06', '1974-11-23',
  '1900-01-01', '1900-01-01', 'unknown', '1990-05-06',
  'May 6 1990', '1990-05-06', '6 May 1990', '06.05.1990', '90-05-06', '1990-05-06', '1990-13-45', '1990-05-06');
-- a lunar birthday beside the solar one; the second month of 2023 came twice; a month apart is not it
SELECT * FROM pg_temp.show('date', '1985-01-01', '1985-02-20', '1984-11-15', '1985-01-05', '2023-02-01', '2023-02-20', '2023-02-01', '2023-03-22', '1985-01-01', '1985-02-21', '1985-02-20', '1985-01-01');
SELECT * FROM pg_temp.show('address',
  '上海市静安区保利花园(学院路1576号)39栋2905', '静安区学院路1576号39号楼2905室', '深圳市宝安区和平路560弄6-3-1702', '宝安区和平路560弄6号楼3单元1702室',
  '湖南省长沙市雨花区花园路938号绿地香', '长沙市雨花区花园路938号绿地香颂3栋1201室', '北京市海淀区中山路1号', '成都市武侯区世茂滨江11-3205',
  '435 s. la cienega blv.', '435 South La Cienega Boulevard', '804 northpoint', '804 north point st.', '12224 ventura blvd.', '12225 ventura blvd.',
  '12224 ventura blvd.', '9 main st.');
-- another house, entrance or flat is another home; a number left out is none; numbers written in Han
SELECT * FROM pg_temp.show('address',
  '上海市浦东新区张杨路500弄3号1201室', '张杨路500弄3号楼1201', '上海市浦东新区张杨路500弄3号1201室', '上海市浦东新区张杨路500弄5号1201室',
  '上海市浦东新区张杨路500弄3号1201室', '浦东张杨路500弄1201室', '北京市朝阳区望京西园四区410号楼3单元502室', '北京朝阳望京西园4区410-3-502',
  '北京市朝阳区望京西园四区410号楼3单元502室', '北京朝阳望京西园4区410号楼2单元502室', '杭州市西湖区文三路99号三幢二单元三〇一室', '文三路９９号3栋2单元301',
  '文三路99号十二幢一单元一百零三室', '文三路99号12幢1单元103', '文三路99号12幢1单元103', '文二路99号12幢1单元103');
-- a road heard or read wrongly, its sister, a number behind the number
SELECT * FROM pg_temp.show('address',
  '上海市浦东新区张杨路815号30幢705室', '浦东新区张扬路815号30幢705室', '张杨路815号', '张扬路815号', '中山北一路100号2幢301室', '中山北二路100号2幢301室',
  '解放东路88号1201室', '解放西路88号1201室', '中山路88号3幢201', '中山北路88号3幢201', '中山北路十二号之一', '中山北路12-1', '中山北路12号之二', '中山北路12-1');
-- one Han character is all there is
SELECT * FROM pg_temp.show('address', '号', '家', '家', '家', '家', '张杨路815号');
SELECT * FROM pg_temp.show('name', '单伟国', 'Dan Weiguo', '仇英', 'Chou Ying', '乐嘉', 'Le Jia', '朴信惠', 'Pu Xinhui', '覃海洋', 'Tan Haiyang', '秦海洋', 'Tan Haiyang',
  '张祎', '张袆', '张X', '张伟', '李☆', '张伟', '王某某', '王伟强');
SELECT * FROM pg_temp.show('nickname', 'coco1746', 'Coco', '芸74758', '芸芸🌸', 'tb123', 'tb456');
-- second readings, look-alikes, masks of several kinds
SELECT * FROM pg_temp.show('name', '单雄信', 'Shan Xiongxin', '曾国藩', 'Zeng Guofan', '解晓东', '谢晓东', '仇英', 'Qiu Ying', '查良镛', 'Zha Liangyong',
  '区志航', 'Ou Zhihang', '尉迟恭', 'Yuchi Gong', '王己', '王已', '周未央', '周末央', '李日天', '李曰天', '陈土', '陈士', '王治', '王冶',
  '张○○', '张伟强', '张○', '李伟', '张××', '张伟强', '张*强', '张伟刚', '欧阳**', '欧阳修文');
SELECT * FROM pg_temp.show('place', '杭州市', '杭州', 'Chongqing', '中国重庆市', '沈阳', 'Shenyang', 'new york', 'new york city', '上海', '北京');
SELECT * FROM pg_temp.show('category', 'American', 'american', 'steakhouse', 'steakhouses', 'thai', 'french');
SELECT * FROM pg_temp.show('id', '11010519491231002X', '11010519491231002x', '110105491231002', '11010519491231002X', '6988048', '6980848', '4011', '4012', '4011', '2776', '000', '000');
SELECT * FROM pg_temp.show('text', 'Art''s Delicatessen', 'arts deli', 'ritz-carlton cafe (buckhead)', 'cafe ritz-carlton buckhead',
  'spago (los angeles)', 'spago', 'palm too', 'citrus', '上海晨光文具有限公司', '晨光文具有限公司',
  'J. D. Ullman, H. Garcia-Molina', 'Jeffrey D. Ullman, Hector Garcia-Molina', 'Efficient View Maintenance', 'efficient view maintenence');
SELECT * FROM pg_temp.show('number', '100', '100.0', '100', '100.5', '100', '109', '100', '200', 'x', '1');
SELECT * FROM pg_temp.show('year', '1998', '1998', '1998', '1999', '1998', '1996', '1998', '1990', '2020', 'x');
SELECT * FROM pg_temp.show('gender', '男', 'M', '1', 'female', '女士', '2', 'X', 'M');
SELECT crm_member.compare_values(NULL, 'a', 'b') IS NULL AS null_comparator, crm_member.compare_values('name', NULL, 'b') IS NULL AS null_value;
SELECT crm_member.compare_values('nonsense', 'a', 'b');
\echo :LAST_ERROR_SQLSTATE
