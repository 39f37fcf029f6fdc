-- A dozen rules for a grocer.
INSERT INTO crm_member.points_rule
  (rule_code, name, scope, condition, award, points, per, whole_multiples, max_points, stack_group, priority, valid_from, valid_to)
VALUES
  ('base', '1 point a dollar, fuel apart', 'line', $$line.attr('department') <> 'FUEL'$$,
   'per_amount', 1, 1, false, NULL, NULL, 100, NULL, NULL),
  ('fuel', '1 point a gallon', 'line', $$line.attr('department') = 'FUEL'$$,
   'per_unit', 1, 1, false, NULL, NULL, 90, NULL, NULL),
  ('own_brand', '1 more a dollar of our own brand', 'line', $$line.brand = 'Private'$$,
   'per_amount', 1, 1, false, NULL, NULL, 80, NULL, NULL),
  ('fresh', '2 for each fruit or vegetable, 20 at most', 'line', $$line.attr('department') = 'PRODUCE'$$,
   'per_unit', 2, 1, false, 20, NULL, 70, NULL, NULL),
  ('meat', '5 for every full 10 dollars of meat', 'sale', $$line.attr('department') in ('MEAT', 'MEAT-PCKGD')$$,
   'per_amount', 5, 10, true, NULL, NULL, 60, NULL, NULL),
  ('baby', '10 for each baby article, families', 'line',
   $$line.category in ('BABY FOODS', 'DIAPERS & DISPOSABLES', 'INFANT FORMULA') and member.attr('kids_count') <> '0'$$,
   'per_unit', 10, 1, false, NULL, NULL, 50, NULL, NULL),
  ('big_basket', '25 for 50 dollars or more', 'sale', $$sale.amount >= 50$$,
   'fixed', 25, 1, false, NULL, NULL, 40, NULL, NULL),
  ('early_bird', '5 from 6 to 9 in the morning', 'sale', $$sale.hour between 6 and 8$$,
   'fixed', 5, 1, false, NULL, NULL, 30, NULL, NULL),
  ('welcome', '100 for the first purchase', 'sale', $$member.first_purchase$$,
   'fixed', 100, 1, false, NULL, NULL, 20, NULL, NULL),
  ('holiday', '3 a dollar of sweets in advent, 60 at most', 'sale', $$line.category like 'CANDY%'$$,
   'per_amount', 3, 1, false, 60, NULL, 10, '2017-12-01', '2017-12-24 23:59:59'),
  ('senior_day', 'double on Tuesdays for 65 and over', 'sale', $$sale.weekday = 2 and member.attr('age') = '65+'$$,
   'multiplier', 2, 1, false, NULL, 'day', 2, NULL, NULL),
  ('weekend', 'one and a half times on Saturday and Sunday', 'sale', $$sale.weekday in (6, 7)$$,
   'multiplier', 1.5, 1, false, NULL, 'day', 1, NULL, NULL);
