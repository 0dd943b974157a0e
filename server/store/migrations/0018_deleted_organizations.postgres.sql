
-- A second wall behind the statements, as around the tables of 0003.
ALTER TABLE deleted_organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE deleted_organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON deleted_organizations USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
