-- Configuration that arrives by logical replication: its rows are applied one by one, and fire
-- no trigger of statements. The sessions there are to read it anew too.
DO $$
DECLARE
  configuration regclass;
BEGIN
  FOR configuration IN SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = 'crm_member.touch_configuration'::regproc LOOP
    EXECUTE format('CREATE TRIGGER touch_configuration_replicated AFTER INSERT OR UPDATE OR DELETE ON %s
                      FOR EACH ROW EXECUTE FUNCTION crm_member.touch_configuration()', configuration);
    EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER touch_configuration_replicated', configuration);
  END LOOP;
END
$$;
