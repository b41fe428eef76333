package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// tableName is the table in the storage account. It is created when it is
// written to for the first time.
const tableName = "chat"

// tableStore is a Store in Azure Table storage. A room has two partitions: its
// messages, newest first, and the names of its users. Nothing is deleted.
type tableStore struct{ table *aztables.Client }

// newTableStore takes a connection string of a storage account, or the URL of its
// table service with a credential. Without a credential it takes what
// DefaultAzureCredential finds.
func newTableStore(setting string, cred azcore.TokenCredential) (*tableStore, error) {
	if strings.Contains(setting, "AccountName=") {
		c, err := aztables.NewServiceClientFromConnectionString(setting, nil)
		if err != nil {
			return nil, errors.New("not a connection string of a storage account: AccountName and AccountKey are needed")
		}
		return &tableStore{c.NewClient(tableName)}, nil
	}
	if u, err := url.Parse(setting); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, errors.New("set it to the URL of the table service, such as https://<account>.table.core.windows.net, or to a connection string of the storage account")
	}
	if cred == nil {
		var err error
		if cred, err = azidentity.NewDefaultAzureCredential(nil); err != nil {
			return nil, err
		}
	}
	c, err := aztables.NewServiceClient(setting, cred, nil)
	if err != nil {
		return nil, err
	}
	return &tableStore{c.NewClient(tableName)}, nil
}

// messageRow and nameRow are the rows of the table. Partition and row keys may not
// contain / \ # and ?, which the names of rooms do not have.
type messageRow struct {
	PartitionKey, RowKey string
	Message              string // as JSON
}

type nameRow struct {
	PartitionKey, RowKey string
	User, Name           string
}

func (s *tableStore) Append(ctx context.Context, room, key string, m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.put(ctx, messageRow{
		PartitionKey: "message-" + room,
		RowKey:       fmt.Sprintf("%019d-%s", math.MaxInt64-m.Time.UnixMilli(), key),
		Message:      string(text),
	})
}

func (s *tableStore) Recent(ctx context.Context, room string, n int) ([]Message, error) {
	var out []Message
	err := s.query(ctx, "message-"+room, n, func(row []byte) error {
		var r messageRow
		var m Message
		if err := errors.Join(json.Unmarshal(row, &r), json.Unmarshal([]byte(r.Message), &m)); err != nil {
			return err
		}
		out = append(out, m)
		return nil
	})
	slices.Reverse(out)
	return out, err
}

func (s *tableStore) SetName(ctx context.Context, room, user, name string) error {
	return s.put(ctx, nameRow{PartitionKey: "name-" + room, RowKey: hash(user), User: user, Name: name})
}

func (s *tableStore) Names(ctx context.Context, room string) (map[string]string, error) {
	out := make(map[string]string)
	err := s.query(ctx, "name-"+room, 1000, func(row []byte) error {
		var r nameRow
		err := json.Unmarshal(row, &r)
		out[r.User] = r.Name
		return err
	})
	return out, err
}

// put writes a row, and creates the table for the first one.
func (s *tableStore) put(ctx context.Context, row any) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	replace := &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace}
	_, err = s.table.UpsertEntity(ctx, b, replace)
	if !isCode(err, aztables.TableNotFound) {
		return err
	}
	// Another instance may be creating it as well.
	if _, err := s.table.CreateTable(ctx, nil); err != nil && !isCode(err, aztables.TableAlreadyExists) {
		return err
	}
	_, err = s.table.UpsertEntity(ctx, b, replace)
	return err
}

// query calls f with the first n rows of a partition. A table that does not exist
// has none.
func (s *tableStore) query(ctx context.Context, partition string, n int, f func(row []byte) error) error {
	filter := "PartitionKey eq '" + strings.ReplaceAll(partition, "'", "''") + "'"
	top := int32(n)
	pager := s.table.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: &top})
	for pager.More() && n > 0 {
		page, err := pager.NextPage(ctx)
		if isCode(err, aztables.TableNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, row := range page.Entities[:min(n, len(page.Entities))] {
			if err := f(row); err != nil {
				return err
			}
		}
		n -= len(page.Entities)
	}
	return nil
}

func isCode(err error, code aztables.TableErrorCode) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.ErrorCode == string(code)
}
